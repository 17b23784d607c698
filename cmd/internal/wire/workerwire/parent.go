// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package workerwire

import (
	"context"
	"log/slog"

	"mailpush.internal/cmd/internal/supervise"
)

// tellParent is what tells this process's supervisor of registrations, nil when it has none.
func tellParent(ctx context.Context, log *slog.Logger) (func(worker string, lease int64), error) {
	parent, err := supervise.FindParent()
	if parent == nil || err != nil {
		return nil, err
	}
	return func(worker string, lease int64) {
		if err := parent.Tell(supervise.Registration{Worker: worker, Lease: lease}); err != nil {
			log.WarnContext(ctx, "should this process die, its lease ends by itself", "worker", worker, "error", err)
		}
	}, nil
}

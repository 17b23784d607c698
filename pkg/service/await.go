// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"log/slog"
	"time"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
)

// awaitPause is the wait between two tries of Await.
const awaitPause = time.Second

// Await tries as often as it takes, or until ctx ends, which is no error: what is
// Unavailable comes back, and a process that ends for it is only started again to the same
// end. That it waits is logged once, as what it is. Any other error is returned.
func Await(ctx context.Context, log *slog.Logger, what string, try func(context.Context) error) error {
	waits := condition.New(log, slog.LevelWarn, what)
	for {
		err := try(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // stopped before it began, which is no error
		case err == nil:
			waits.Worked(ctx)
			return nil
		case fault.KindOf(err) != fault.Unavailable:
			return err
		}
		waits.Failed(ctx, err)
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Retry implements [edge.Workers].
func (w *Workers) Retry(ctx context.Context, address, store string, user registry.UserID) (edge.Retried, error) {
	req := &workerv1.RetryRequest{MailStore: store}
	if user != (registry.UserID{}) {
		req.User = user.Wire()
	}
	res, err := call(ctx, "the worker", w.client(address).Retry, req)
	if err != nil {
		return edge.Retried{}, err
	}
	return edge.Retried{Listeners: res.GetListeners(), Suspended: res.GetSuspended()}, nil
}

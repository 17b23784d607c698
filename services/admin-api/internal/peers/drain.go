// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// SetDraining implements [edge.Workers].
func (w *Workers) SetDraining(ctx context.Context, address, id string, draining bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req := &workerv1.SetDrainingRequest{Worker: id, Draining: draining}
	_, err := call(ctx, "the worker", w.client(address).SetDraining, req)
	return err
}

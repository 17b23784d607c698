// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Workers are all listener-workers. It is safe for concurrent use.
type Workers struct{ clients *rpc.Clients }

// NewWorkers makes a client of all workers.
func NewWorkers(id *identity.Identity) *Workers {
	return &Workers{rpc.NewClients(id, identity.Worker)}
}

func (w *Workers) client(address string) workerv1connect.WorkerServiceClient {
	return workerv1connect.NewWorkerServiceClient(w.clients.At(address), rpc.BaseURL)
}

// Close lets go of idle connections.
func (w *Workers) Close() { w.clients.CloseIdleConnections() }

// Listeners implements [edge.Workers].
func (w *Workers) Listeners(ctx context.Context, address string, users []registry.UserID) ([]edge.Listener, error) {
	req := &workerv1.GetListenersRequest{}
	for _, u := range users {
		req.Users = append(req.Users, u.Wire())
	}
	res, err := call(ctx, "the worker", w.client(address).GetListeners, req)
	if err != nil {
		return nil, err
	}
	var out []edge.Listener
	for _, l := range res.GetListeners() {
		out = append(out, edge.Listener{
			UserID:    registry.UserOf(l.GetUser()),
			Permanent: l.GetPermanent(), Backend: l.GetBackend(), State: l.GetState(), Worker: res.GetWorker(),
			Since: moment(l.GetSince()), LastEvent: moment(l.GetLastEvent()), LastError: l.GetLastError(),
			LastHint: moment(l.GetLastHint()), LastProof: moment(l.GetLastProof()), Registration: l.GetRegistration(),
		})
	}
	return out, nil
}

// moment keeps "never" apart from the year 1970.
func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

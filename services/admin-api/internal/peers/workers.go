// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// maxConnections bounds the workers to which connections are kept: workers come
// and go under new addresses.
const maxConnections = 256

// Workers are all listener-workers. It is safe for concurrent use.
type Workers struct {
	id      *identity.Identity
	mu      sync.Mutex
	clients map[string]*http.Client // by address
}

// NewWorkers makes a client of all workers.
func NewWorkers(id *identity.Identity) *Workers {
	return &Workers{id: id, clients: make(map[string]*http.Client)}
}

func (w *Workers) client(address string) workerv1connect.WorkerServiceClient {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.clients[address]
	if !ok {
		w.makeRoom()
		c = rpc.Client(w.id, identity.Worker, []string{address})
		w.clients[address] = c
	}
	return workerv1connect.NewWorkerServiceClient(c, rpc.BaseURL)
}

// Close lets go of idle connections.
func (w *Workers) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.clients {
		c.CloseIdleConnections()
	}
}

// makeRoom lets go of any connection; calls on it go on.
func (w *Workers) makeRoom() {
	for address, c := range w.clients {
		if len(w.clients) < maxConnections {
			return
		}
		c.CloseIdleConnections()
		delete(w.clients, address)
	}
}

// Baseline implements [edge.Workers]. How long it may take is the caller's to say:
// a mail store is slow in its own way.
func (w *Workers) Baseline(
	ctx context.Context, address string, u registry.User, store *mailv1.MailStore,
) ([]registry.Cursor, uint64, error) {
	req := &workerv1.GetBaselineRequest{User: u.UserID.Wire(), Store: store, CredentialSlot: u.Credential.Slot}
	res, err := call(ctx, "the worker", w.client(address).GetBaseline, req)
	if err != nil {
		return nil, 0, err
	}
	var out []registry.Cursor
	for _, c := range res.GetCursors() {
		out = append(out, registry.CursorOf(c))
	}
	return out, res.GetCredentialVersion(), nil
}

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

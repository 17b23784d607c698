// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rpc serves WorkerService: what admin-api asks of a worker, and word of new mail
// that other workers were brought. Invariant: of a worker it changes nothing but its wish
// for shards, and when its listeners try again; answers come from the listeners' and deliveries' own word, from the mail
// store or from an endpoint.
package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Worker is what the handler shows.
type Worker struct {
	// ID is the id the worker is registered under, empty while it is not.
	ID func() string
	// Status reports the listeners of the users that have one.
	Status func(users []mailbox.User) []listen.Status
	// Credentials opens stored logins.
	Credentials listen.Credentials
	// Sources are the backends that the worker has.
	Sources map[string]listen.Source
	// SetDraining says whether the worker wants to be relieved of its shards.
	SetDraining func(ctx context.Context, draining bool) error
	// Deliveries are what is pushed.
	Deliveries Deliveries
	// Hint gives a hint to a listener here.
	Hint func(hint hints.Routed) hints.Verdict
	// Right is whether the worker may act.
	Right func() workerv1.RightToAct
	// Explain tells all there is to know of a user's listener, if there is one.
	Explain func(ctx context.Context, user mailbox.User) (listen.Explanation, bool, error)
	// Retry has listeners try again that are in back-off.
	Retry func(ctx context.Context, which listen.Which) (listen.Retried, error)
}

// Handler implements WorkerService.
type Handler struct {
	worker Worker
	logins logins
}

var _ workerv1connect.WorkerServiceHandler = (*Handler)(nil)

// New makes a handler for a worker.
func New(worker Worker) *Handler { return &Handler{worker: worker} }

// GetListeners implements WorkerService.
func (h *Handler) GetListeners(
	_ context.Context, request *connect.Request[workerv1.GetListenersRequest],
) (*connect.Response[workerv1.GetListenersResponse], error) {
	response := &workerv1.GetListenersResponse{Worker: h.worker.ID()}
	for _, status := range h.worker.Status(usersOf(request.Msg.GetUsers())) {
		response.Listeners = append(response.Listeners, listenerOf(status))
	}
	return connect.NewResponse(response), nil
}

func listenerOf(status listen.Status) *workerv1.Listener {
	return &workerv1.Listener{
		User:      &mailv1.User{ContextId: status.User.Context, UserId: status.User.ID},
		Permanent: status.Permanent,
		Backend:   status.Backend,
		State:     status.State,
		Since:     timestamp(status.Since),
		LastEvent: timestamp(status.LastEvent),
		LastError: status.LastError,
		LastHint:  timestamp(status.LastHint), LastProof: timestamp(status.LastProof),
		Registration: status.Registration,
	}
}

func userOf(user *mailv1.User) mailbox.User {
	return mailbox.User{Context: user.GetContextId(), ID: user.GetUserId()}
}

func usersOf(users []*mailv1.User) []mailbox.User {
	out := make([]mailbox.User, len(users))
	for i, user := range users {
		out[i] = userOf(user)
	}
	return out
}

// timestamp leaves the zero time out.
func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	"mailpush.internal/services/listener-worker/internal/hints"
)

// Workers are the other workers. It is safe for concurrent use.
type Workers struct{ clients *rpc.Clients }

var _ hints.Workers = (*Workers)(nil)

// NewWorkers makes a client of all workers.
func NewWorkers(id *identity.Identity) *Workers {
	return &Workers{rpc.NewClients(id, identity.Worker)}
}

// Close lets go of idle connections.
func (w *Workers) Close() { w.clients.CloseIdleConnections() }

func (w *Workers) client(address string) workerv1connect.WorkerServiceClient {
	return workerv1connect.NewWorkerServiceClient(w.clients.At(address), rpc.BaseURL)
}

// Notify implements [hints.Workers].
func (w *Workers) Notify(ctx context.Context, address string, routed []hints.Routed) ([]hints.Verdict, error) {
	request := &workerv1.NotifyRequest{Hints: make([]*workerv1.Hint, len(routed))}
	for i, hint := range routed {
		request.Hints[i] = wire(hint)
	}
	response, err := w.client(address).Notify(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, rpc.FromConnect("the worker", err)
	}
	out := make([]hints.Verdict, len(response.Msg.GetVerdicts()))
	for i, verdict := range response.Msg.GetVerdicts() {
		switch verdict {
		case workerv1.NotifyVerdict_NOTIFY_VERDICT_TAKEN:
			out[i] = hints.Taken
		case workerv1.NotifyVerdict_NOTIFY_VERDICT_UNKNOWN:
			out[i] = hints.Unknown
		case workerv1.NotifyVerdict_NOTIFY_VERDICT_UNSPECIFIED:
			out[i] = hints.Elsewhere
		}
	}
	return out, nil
}

func wire(hint hints.Routed) *workerv1.Hint {
	out := &workerv1.Hint{
		Backend: hint.Backend, User: &mailv1.User{ContextId: hint.User.Context, UserId: hint.User.ID},
		Folder: hint.Folder, UidValidity: hint.UIDValidity, Uid: hint.UID, At: timestamppb.New(hint.At),
	}
	if hint.Mail != nil {
		out.Mail = &workerv1.ToldMail{From: hint.Mail.From, Subject: hint.Mail.Subject, Unseen: hint.Unseen}
	}
	return out
}

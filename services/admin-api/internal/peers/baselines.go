// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// loginsAtOnce bounds the logins side by side that a worker of an earlier release is asked
// for: one that knows GetBaselines bounds them itself.
const loginsAtOnce = 8

// Baselines implements [edge.Workers]. How long it may take is the caller's to say:
// a mail store is slow in its own way.
func (w *Workers) Baselines(
	ctx context.Context, address string, users []registry.User, store *mailv1.MailStore,
) ([]edge.Baseline, error) {
	if len(users) > 1 {
		answers, err := w.baselines(ctx, address, users, store)
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			return answers, err
		}
	}
	answers := make([]edge.Baseline, len(users))
	var calls errgroup.Group
	calls.SetLimit(loginsAtOnce)
	for i, u := range users {
		calls.Go(func() error {
			answers[i] = w.baseline(ctx, address, u, store)
			return nil
		})
	}
	return answers, calls.Wait()
}

func (w *Workers) baselines(
	ctx context.Context, address string, users []registry.User, store *mailv1.MailStore,
) ([]edge.Baseline, error) {
	req := &workerv1.GetBaselinesRequest{Store: store}
	for _, u := range users {
		req.Mailboxes = append(req.Mailboxes, &workerv1.BaselineMailbox{
			User: u.UserID.Wire(), CredentialSlot: u.Credential.Slot, Login: u.Doveadm,
		})
	}
	res, err := call(ctx, "the worker", w.client(address).GetBaselines, req)
	if err != nil {
		return nil, err
	}
	if len(res.GetBaselines()) != len(users) {
		return nil, fault.New(fault.Internal, "the worker tells of %d mailboxes, not of %d", len(res.GetBaselines()), len(users))
	}
	answers := make([]edge.Baseline, len(users))
	for i, b := range res.GetBaselines() {
		answers[i] = baselineOf(b.GetBaseline())
		answers[i].Err = rpc.FromAnswer(b.GetCode(), b.GetMessage())
	}
	return answers, nil
}

func (w *Workers) baseline(ctx context.Context, address string, u registry.User, store *mailv1.MailStore) edge.Baseline {
	req := &workerv1.GetBaselineRequest{User: u.UserID.Wire(), Store: store, CredentialSlot: u.Credential.Slot, Login: u.Doveadm}
	res, err := call(ctx, "the worker", w.client(address).GetBaseline, req)
	if err != nil {
		return edge.Baseline{Err: err}
	}
	return baselineOf(res)
}

func baselineOf(res *workerv1.GetBaselineResponse) edge.Baseline {
	out := edge.Baseline{Version: res.GetCredentialVersion()}
	for _, c := range res.GetCursors() {
		out.Cursors = append(out.Cursors, registry.CursorOf(c))
	}
	return out
}

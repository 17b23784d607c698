// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/secret"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// push implements PushService.
type push struct {
	edge    *edge.Edge
	metrics *Metrics
	log     *slog.Logger
}

var _ pushv1connect.PushServiceHandler = push{}

// Subscribe implements PushServiceHandler. The caller must cover the context before anything
// is looked up or opened. Passwords and secrets leave the message for a type that does not
// print.
func (p push) Subscribe(
	ctx context.Context, req *connect.Request[pushv1.SubscribeRequest],
) (*connect.Response[pushv1.SubscribeResponse], error) {
	r, err := request(ctx, req.Msg)
	if err != nil {
		return nil, err
	}
	answer, err := p.edge.Subscribe(ctx, r)
	p.metrics.subscribed(answer, err)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(subscribed(answer)), nil
}

// request reads what is asked for, of a caller who may.
func request(ctx context.Context, m *pushv1.SubscribeRequest) (edge.Request, error) {
	caller, err := auth.Covers(ctx, m.GetContextId())
	if err != nil {
		return edge.Request{}, err
	}
	r := edge.Request{
		User:   registry.UserID{Context: m.GetContextId(), User: m.GetUserId()},
		Client: m.GetClientId(), Device: m.GetDeviceId(), Topics: m.GetTopics(),
		Content:  cmp.Or(m.GetContent(), mailv1.Content_CONTENT_ENVELOPE),
		Mode:     cmp.Or(m.GetMode(), mailv1.Mode_MODE_BATCH),
		AnyLogin: caller.Admin,
	}
	target(&r, m)
	if a := m.GetAccount(); a != nil {
		r.Account = &edge.Account{Store: a.GetMailStore(), Login: a.GetLogin(), Password: secret.New(a.GetPassword())}
	}
	return r, nil
}

func subscribed(a edge.Answer) *pushv1.SubscribeResponse {
	return &pushv1.SubscribeResponse{
		SubscriptionId: a.ID, Permanent: a.Permanent, Reason: optional(a.Reason),
		WebhookSecret: optional(a.Keys.Made.Reveal()), WebhookPublicKey: optional(a.Keys.Public),
	}
}

// target reads where the pushes go, and what signs them. That exactly one target is set
// is a rule of the message.
func target(r *edge.Request, m *pushv1.SubscribeRequest) {
	if w := m.GetWebhook(); w != nil {
		r.Target = registry.Target{Transport: registry.Webhook, Address: w.GetUrl()}
		r.Secret, r.ClearHeaders = secret.New(w.GetSecret()), w.GetClearHeaders()
		if w.GetSignature() != pushv1.Signature_SIGNATURE_UNSPECIFIED { // else that of the secret that there is
			r.Scheme = scheme(w.GetSignature())
		}
		r.Headers = make(map[string]secret.String, len(w.GetHeaders()))
		for name, value := range w.GetHeaders() {
			r.Headers[name] = secret.New(value)
		}
	}
}

// optional is a text of the kind that is left out when there is none.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Unsubscribe implements PushServiceHandler. Whose the subscription is only the registry
// knows, so that whether the caller covers it is asked there.
func (p push) Unsubscribe(
	ctx context.Context, req *connect.Request[pushv1.UnsubscribeRequest],
) (*connect.Response[pushv1.UnsubscribeResponse], error) {
	caller, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.edge.Unsubscribe(ctx, req.Msg.GetSubscriptionId(), caller.Covers); err != nil {
		return nil, err
	}
	return connect.NewResponse(&pushv1.UnsubscribeResponse{}), nil
}

// ListSubscriptions implements PushServiceHandler. It has no pages: a user's subscriptions
// are bounded. An application is told how its own fare, so that it need not ask an
// administrator; what goes on inside the cluster it is not told.
func (p push) ListSubscriptions(
	ctx context.Context, req *connect.Request[pushv1.ListSubscriptionsRequest],
) (*connect.Response[pushv1.ListSubscriptionsResponse], error) {
	u := registry.UserID{Context: req.Msg.GetContextId(), User: req.Msg.GetUserId()}
	if _, err := auth.Covers(ctx, u.Context); err != nil {
		return nil, err
	}
	subs, err := p.edge.UserSubscriptions(ctx, u)
	if err != nil {
		return nil, err
	}
	res := &pushv1.ListSubscriptionsResponse{}
	for _, s := range subs {
		res.Subscriptions = append(res.Subscriptions, own(s))
	}
	return connect.NewResponse(res), nil
}

// own is a subscription as applications see it.
func own(s edge.Standing) *pushv1.Subscription {
	out := &pushv1.Subscription{
		SubscriptionId: s.ID, ContextId: s.Context, UserId: s.User, ClientId: s.Client, DeviceId: s.Device,
		Topics: s.Topics, Content: s.Content, Mode: s.Mode,
		Transport: string(s.Target.Transport), WebhookUrl: withoutPath(s.Target.Wire().GetWebhook().GetUrl()),
		Cursors: cursors(s.Cursors), CreatedAt: timestamppb.New(s.CreatedAt),
		Disabled: s.Disabled.Is, DisabledReason: s.Disabled.Reason, WebhookHeaderNames: s.Headers.Names,
		KeptUntil: timestamp(s.Disabled.KeptUntil()),
		State:     stateOf(s.State), LastError: s.LastError, Lag: s.Lag,
		OldestPending: timestamp(s.OldestPending), Since: timestamp(s.Since), NextTry: timestamp(s.NextTry),
	}
	if out.State == pushv1.SubscriptionState_SUBSCRIPTION_STATE_UNSPECIFIED && s.Worker != "" {
		out.LastError = "not known: the worker that delivers did not answer"
	}
	return out
}

// stateOf is the state of the same name: the two enums have the same values, and a test
// holds them to it.
func stateOf(s adminv1.SubscriptionState) pushv1.SubscriptionState {
	return pushv1.SubscriptionState(pushv1.SubscriptionState_value[s.String()])
}

// TestSubscription implements PushServiceHandler. An endpoint that refuses is an answer, not
// an error of the call.
func (p push) TestSubscription(
	ctx context.Context, req *connect.Request[pushv1.TestSubscriptionRequest],
) (*connect.Response[pushv1.TestSubscriptionResponse], error) {
	caller, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	r, err := p.edge.TestOften(ctx, req.Msg.GetSubscriptionId(), caller.Covers)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pushv1.TestSubscriptionResponse{
		Accepted: r.Accepted, Result: r.Result, Detail: r.Detail, Took: durationpb.New(r.Took.Round(time.Millisecond)),
	}), nil
}

// hiddenPath stands for what follows a webhook's host.
const hiddenPath = "/..."

// withoutPath hides what many services put their tokens in, path and query: a
// subscription is shown to every application of its context.
func withoutPath(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return ""
	}
	origin := u.Scheme + "://" + u.Host
	if raw == origin || raw == origin+"/" {
		return raw
	}
	return origin + hiddenPath
}

// cursors are a subscription's cursors on the wire.
func cursors(list []registry.Cursor) []*mailv1.Cursor {
	out := make([]*mailv1.Cursor, len(list))
	for i, c := range list {
		out[i] = c.Wire()
	}
	return out
}

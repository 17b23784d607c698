// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"cmp"
	"context"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// SubscribeMany implements PushServiceHandler. What a row of it is refused for, Subscribe
// refuses in the same words: it is read, checked and judged by the same code.
func (p push) SubscribeMany(
	ctx context.Context, req *connect.Request[pushv1.SubscribeManyRequest],
) (*connect.Response[pushv1.SubscribeManyResponse], error) {
	results := make([]*pushv1.SubscribeManyResult, len(req.Msg.GetRows()))
	var asked []edge.Request
	var at []int // which rows they are
	for i, row := range req.Msg.GetRows() {
		r, err := requestOf(ctx, row, req.Msg.GetStart())
		if err != nil {
			results[i] = p.result(edge.Outcome{Err: err})
			continue
		}
		asked, at = append(asked, r), append(at, i)
	}
	outcomes := p.edge.SubscribeMany(ctx, asked)
	for i, outcome := range outcomes {
		results[at[i]] = p.result(outcome)
	}
	p.record(ctx, outcomes)
	return connect.NewResponse(&pushv1.SubscribeManyResponse{Results: results}), nil
}

// requestOf reads a row, which is held to the rules of its messages only here.
func requestOf(ctx context.Context, row *pushv1.SubscribeManyRow, start pushv1.CursorStart) (edge.Request, error) {
	m := row.GetSubscription()
	if m == nil {
		return edge.Request{}, fault.Field("subscription", "is required")
	}
	if err := rpc.Validate(m); err != nil {
		return edge.Request{}, err
	}
	r, err := request(ctx, m)
	if err != nil {
		return edge.Request{}, err
	}
	if row.GetCursor() != nil {
		cursor := registry.CursorOf(row.GetCursor())
		r.Cursor = &cursor
	}
	if start != pushv1.CursorStart_CURSOR_START_ANSWER {
		r.Start = edge.StartAtFirstLook
	}
	return r, nil
}

// result is what became of a row, on the wire.
func (p push) result(o edge.Outcome) *pushv1.SubscribeManyResult {
	p.metrics.subscribed(o.Answer, o.Err)
	if o.Err == nil {
		return &pushv1.SubscribeManyResult{Subscription: subscribed(o.Answer)}
	}
	code, message := rpc.InAnswer(o.Err)
	return &pushv1.SubscribeManyResult{Code: &code, Message: &message}
}

// record logs what could not be done and is no fault of the caller's, once for all rows:
// when a service is away, it is so for each of them.
func (p push) record(ctx context.Context, outcomes []edge.Outcome) {
	var first error
	rows := 0
	for _, o := range outcomes {
		if kind := fault.KindOf(o.Err); o.Err != nil && (kind == fault.Internal || kind == fault.Unavailable) {
			first = cmp.Or(first, o.Err)
			rows++
		}
	}
	if first != nil {
		p.log.WarnContext(ctx, "subscriptions could not be stored", "rows", rows, "of", len(outcomes), "error", first)
	}
}

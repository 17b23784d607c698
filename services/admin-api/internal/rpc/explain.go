// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/explain"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Explain implements AdminServiceHandler. What cannot be asked is a part of the answer, and
// no error.
func (a admin) Explain(
	ctx context.Context, req *connect.Request[adminv1.ExplainRequest],
) (*connect.Response[adminv1.ExplainResponse], error) {
	why, err := a.explain(ctx, req.Msg)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ExplainResponse{
		ContextId: why.Context, UserId: why.User, Verdict: why.Verdict, Cause: string(why.Cause), Advice: why.Advice,
	}
	for _, s := range why.Steps {
		res.Steps = append(res.Steps, &adminv1.ExplainStep{
			Check: s.Check, Ok: s.Outcome == explain.Yes, Detail: s.Detail, Outcome: outcomeOf(s.Outcome), Cause: string(s.Cause),
			SubscriptionId: s.Subscription,
		})
	}
	return connect.NewResponse(res), nil
}

func (a admin) explain(ctx context.Context, m *adminv1.ExplainRequest) (edge.Explained, error) {
	if id := m.GetSubscriptionId(); id != "" {
		return a.edge.ExplainSubscription(ctx, id)
	}
	return a.edge.Explain(ctx, registry.UserID{Context: m.GetContextId(), User: m.GetUserId()})
}

func outcomeOf(o explain.Outcome) adminv1.ExplainOutcome {
	switch o {
	case explain.Yes:
		return adminv1.ExplainOutcome_EXPLAIN_OUTCOME_YES
	case explain.No:
		return adminv1.ExplainOutcome_EXPLAIN_OUTCOME_NO
	case explain.Note:
		return adminv1.ExplainOutcome_EXPLAIN_OUTCOME_NOTE
	case explain.Unknown:
		return adminv1.ExplainOutcome_EXPLAIN_OUTCOME_UNKNOWN
	}
	return adminv1.ExplainOutcome_EXPLAIN_OUTCOME_UNSPECIFIED
}

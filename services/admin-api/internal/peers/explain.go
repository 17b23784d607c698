// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/explain"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Explain implements [edge.Explainer]. How long it may take is the caller's to say.
func (w *Workers) Explain(ctx context.Context, address string, user registry.UserID) (*workerv1.ExplainUserResponse, error) {
	return callNew(ctx, "the worker", w.client(address).ExplainUser, &workerv1.ExplainUserRequest{User: user.Wire()})
}

// Placement implements [edge.Scheduler].
func (s *Scheduler) Placement(ctx context.Context, of registry.Shard) (explain.Placement, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	said, err := callNew(ctx, "the scheduler", s.client.GetPlacement, &schedulerv1.GetPlacementRequest{Backend: of.Backend, Shard: of.Number})
	if err != nil {
		return explain.Placement{}, err
	}
	return explain.Placement{
		Holder: said.GetHolder(), Granted: said.GetGranted(), Releasing: said.GetReleasing(),
		Capable: said.GetCapable(), NoRoom: said.GetNoRoom(), Leader: said.GetLeader(),
	}, nil
}

// callNew makes a call that the release before does not know; [edge.ErrTooOld] tells so.
func callNew[Req, Res any](
	ctx context.Context, who string, do func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error), req *Req,
) (*Res, error) {
	res, err := do(ctx, connect.NewRequest(req))
	switch {
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return nil, fault.Wrap(fault.Unavailable, errors.Join(edge.ErrTooOld, err), "%s is of a release that cannot say", who)
	case err != nil:
		return nil, failed(who, err)
	}
	return res.Msg, nil
}

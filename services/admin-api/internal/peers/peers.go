// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package peers calls the other services over mutual TLS: the vault, the scheduler
// and each worker by its address. It keeps one invariant: what a caller of the
// public API may read of a failed call is what the service answered, never what
// the network said.
package peers

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/services/admin-api/internal/edge"
)

// callTime bounds a call that has no reason to take long.
const callTime = 5 * time.Second

// call makes one unary call and maps its error.
func call[Req, Res any](
	ctx context.Context, who string, do func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error), req *Req,
) (*Res, error) {
	res, err := do(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, failed(who, err)
	}
	return res.Msg, nil
}

// failed maps the error of a call: an answer keeps its kind and words, anything
// else is Unavailable, marked ErrNoAnswer.
func failed(who string, err error) error {
	if connect.IsWireError(err) {
		return rpc.FromConnect(who, err)
	}
	return fault.Wrap(fault.Unavailable, errors.Join(edge.ErrNoAnswer, err), "%s does not answer; try again", who)
}

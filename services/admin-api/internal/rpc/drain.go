// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// DrainWorker implements AdminServiceHandler. It returns when the worker has taken the word
// in: how far its shards have moved the listing of workers shows.
func (a admin) DrainWorker(
	ctx context.Context, req *connect.Request[adminv1.DrainWorkerRequest],
) (*connect.Response[adminv1.DrainWorkerResponse], error) {
	if err := a.edge.Drain(ctx, req.Msg.GetId(), true); err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DrainWorkerResponse{}), nil
}

// UndrainWorker implements AdminServiceHandler.
func (a admin) UndrainWorker(
	ctx context.Context, req *connect.Request[adminv1.UndrainWorkerRequest],
) (*connect.Response[adminv1.UndrainWorkerResponse], error) {
	if err := a.edge.Drain(ctx, req.Msg.GetId(), false); err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UndrainWorkerResponse{}), nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Retry implements AdminServiceHandler. That one thing is named is a rule of the message.
func (a admin) Retry(
	ctx context.Context, req *connect.Request[adminv1.RetryRequest],
) (*connect.Response[adminv1.RetryResponse], error) {
	var did edge.Retried
	var err error
	if req.Msg.GetUserId() != "" {
		did, err = a.edge.RetryUser(ctx, registry.UserID{Context: req.Msg.GetContextId(), User: req.Msg.GetUserId()})
	} else {
		did, err = a.edge.Retry(ctx, req.Msg.GetMailStore())
	}
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.RetryResponse{
		Listeners: did.Listeners, Suspended: did.Suspended > 0 && req.Msg.GetUserId() != "", SilentWorkers: did.Silent,
	}), nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// ListDeadLetters implements AdminServiceHandler.
func (a admin) ListDeadLetters(
	ctx context.Context, req *connect.Request[adminv1.ListDeadLettersRequest],
) (*connect.Response[adminv1.ListDeadLettersResponse], error) {
	before, err := decodePlace(req.Msg.GetPageToken(), deadLettersToken)
	if err != nil {
		return nil, err
	}
	limit := pageSize(req.Msg.GetPageSize())
	list, last, err := a.edge.DeadLetters(ctx, req.Msg.GetSubscriptionId(), before, limit)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListDeadLettersResponse{}
	for _, d := range list {
		res.DeadLetters = append(res.DeadLetters, &adminv1.DeadLetter{
			SubscriptionId: d.Subscription, ContextId: d.Context, UserId: d.User, Folder: d.Folder,
			UidValidity: d.UIDValidity, FirstUid: d.First, LastUid: d.Last, Reason: d.Reason, At: timestamp(d.At),
		})
	}
	res.NextPageToken = encodePlace(last, deadLettersToken)
	return connect.NewResponse(res), nil
}

// deadLetters reads what a worker has stepped over. Its clock may be ahead: nothing is
// newer than now, or it would stay at the top of every listing, and be the last to be
// dropped.
func deadLetters(list []*registryv1.DeadLetter, now time.Time) []registry.DeadLetter {
	var out []registry.DeadLetter
	for _, d := range list {
		at := now
		if d.GetAt() != nil && d.GetAt().AsTime().Before(now) {
			at = d.GetAt().AsTime()
		}
		out = append(out, registry.DeadLetter{
			Subscription: d.GetSubscriptionId(), Folder: d.GetFolder(), UIDValidity: d.GetUidValidity(),
			First: d.GetFirstUid(), Last: d.GetLastUid(), Reason: d.GetReason(), At: at,
		})
	}
	return out
}

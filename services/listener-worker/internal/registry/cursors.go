// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
)

// What one call carries at most, within the rules of the registry's messages.
const (
	maxShards  = 1000
	maxCursors = 5000
)

// CommitCursors implements [deliver.Registry]. What is too large for one call goes in
// several; repeating them all after an error is harmless.
func (c *Client) CommitCursors(ctx context.Context, cursors map[deliver.Claim][]deliver.Cursor) ([]deliver.Claim, error) {
	var refused []deliver.Claim
	for _, request := range commits(cursors) {
		response, err := call(ctx, c.service.CommitCursors, request)
		if err != nil {
			return nil, err
		}
		refused = append(refused, fromProto(response.GetRefused())...)
	}
	return refused, nil
}

// commits splits cursors into requests.
func commits(cursors map[deliver.Claim][]deliver.Cursor) []*registryv1.CommitCursorsRequest {
	var out []*registryv1.CommitCursorsRequest
	request, room := &registryv1.CommitCursorsRequest{}, maxCursors
	for claim, rows := range cursors {
		for len(rows) > 0 {
			if room == 0 || len(request.GetShards()) == maxShards {
				out = append(out, request)
				request, room = &registryv1.CommitCursorsRequest{}, maxCursors
			}
			n := min(room, len(rows))
			request.Shards = append(request.Shards, shardCursors(claim, rows[:n]))
			rows, room = rows[n:], room-n
		}
	}
	if len(request.GetShards()) > 0 {
		out = append(out, request)
	}
	return out
}

func shardCursors(claim deliver.Claim, rows []deliver.Cursor) *registryv1.ShardCursors {
	out := &registryv1.ShardCursors{Claim: toProto([]deliver.Claim{claim})[0]}
	for _, row := range rows {
		out.Cursors = append(out.Cursors, &registryv1.SubscriptionCursor{
			SubscriptionId: row.Subscription,
			Cursor:         &mailv1.Cursor{Folder: row.Folder, UidValidity: row.UIDValidity, Uid: row.UID},
		})
	}
	return out
}

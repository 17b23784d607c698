// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/hold"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// What one call carries at most, within the rules of the registry's messages. Dead
// letters count as cursors.
const (
	maxShards  = 1000
	maxCursors = deliver.MaxCursors
	maxReason  = 512
)

// CommitCursors implements [deliver.Registry]. What is too large for one call goes in
// several; repeating them all after an error is harmless.
func (c *Registry) CommitCursors(ctx context.Context, cursors map[hold.Claim][]deliver.Served) ([]hold.Claim, error) {
	var refused []hold.Claim
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
func commits(cursors map[hold.Claim][]deliver.Served) []*registryv1.CommitCursorsRequest {
	var out []*registryv1.CommitCursorsRequest
	request, room := &registryv1.CommitCursorsRequest{}, maxCursors
	for claim, rows := range cursors {
		for len(rows) > 0 {
			if room <= 0 || len(request.GetShards()) == maxShards {
				out = append(out, request)
				request, room = &registryv1.CommitCursorsRequest{}, maxCursors
			}
			shard := &registryv1.ShardCursors{Claim: toProto([]hold.Claim{claim})[0]}
			rows, room = fill(shard, rows, room)
			request.Shards = append(request.Shards, shard)
		}
	}
	if len(request.GetShards()) > 0 {
		out = append(out, request)
	}
	return out
}

// fill takes as many rows as there is room for, at least one, each with its dead
// letters. It returns the rows and the room that are left.
func fill(shard *registryv1.ShardCursors, rows []deliver.Served, room int) ([]deliver.Served, int) {
	for len(rows) > 0 && room > 0 {
		row := rows[0]
		cursor := &registryv1.SubscriptionCursor{
			SubscriptionId: row.Subscription,
			Cursor:         &mailv1.Cursor{Folder: row.Folder, UidValidity: row.UIDValidity, Uid: row.UID},
			Replay:         row.Replay,
			Rewind:         row.Rewind,
		}
		if from := row.ResetFrom; from != (mailbox.Cursor{}) {
			cursor.ResetFrom = &registryv1.ResetFrom{UidValidity: from.UIDValidity, Uid: from.UID}
		}
		shard.Cursors = append(shard.Cursors, cursor)
		for _, letter := range row.DeadLetters {
			shard.DeadLetters = append(shard.DeadLetters, deadLetter(row, letter))
		}
		rows, room = rows[1:], room-1-len(row.DeadLetters)
	}
	return rows, room
}

func deadLetter(row deliver.Served, letter deliver.DeadLetter) *registryv1.DeadLetter {
	return &registryv1.DeadLetter{
		SubscriptionId: row.Subscription,
		Folder:         row.Folder,
		UidValidity:    letter.UIDValidity,
		FirstUid:       letter.From,
		LastUid:        letter.Upto,
		Reason:         clip(letter.Reason),
		At:             timestamppb.New(letter.At),
	}
}

// clip shortens what an endpoint said to what the registry takes.
func clip(reason string) string {
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

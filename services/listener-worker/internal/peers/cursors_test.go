// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// However many cursors wait, each call keeps the registry's rules and none is lost.
func TestCommitsKeepTheRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ shards, rows, letters, calls int }{
		{0, 0, 0, 0},
		{1, 1, 0, 1},
		{1, 5000, 0, 1},
		{1, 5001, 0, 2},
		{1000, 1, 0, 1},
		{1001, 1, 0, 2},
		{3, 4000, 0, 3},
		{1, 1, 10000, 1},
		{1, 2500, 1, 1},
		{1, 2501, 1, 2},
		{1, 2, 6000, 2},
	} {
		cursors := make(map[hold.Claim][]deliver.Served)
		for shard := range c.shards {
			claim := hold.Claim{Backend: "imapidle", Shard: uint32(shard), Epoch: 1}
			for row := range c.rows {
				cursors[claim] = append(cursors[claim], deliver.Served{
					Subscription: fmt.Sprint(row), Folder: "INBOX", Cursor: mailbox.Cursor{UIDValidity: 7, UID: 1},
					DeadLetters: make([]deliver.DeadLetter, c.letters),
				})
			}
		}
		requests := commits(cursors)
		rows, letters := 0, 0
		for _, request := range requests {
			if err := rpc.Validate(request); err != nil {
				t.Errorf("%d shards of %d: %v", c.shards, c.rows, err)
			}
			for _, shard := range request.GetShards() {
				rows, letters = rows+len(shard.GetCursors()), letters+len(shard.GetDeadLetters())
			}
		}
		if len(requests) != c.calls || rows != c.shards*c.rows || letters != rows*c.letters {
			t.Errorf("%+v: %d calls with %d rows and %d dead letters", c, len(requests), rows, letters)
		}
	}
}

func TestCursorCarriesWhatWasSteppedOver(t *testing.T) {
	t.Parallel()
	claim := hold.Claim{Backend: "imapidle", Shard: 3, Epoch: 9}
	requests := commits(map[hold.Claim][]deliver.Served{claim: {{
		Subscription: "sub_1", Folder: "INBOX", Cursor: mailbox.Cursor{UIDValidity: 7, UID: 20}, Replay: 2, Rewind: true,
		ResetFrom:   mailbox.Cursor{UIDValidity: 6, UID: 90},
		DeadLetters: []deliver.DeadLetter{{Skip: pump.Skip{UIDValidity: 7, From: 11, Upto: 12, Reason: "the endpoint answered 400"}, At: time.Unix(5, 0)}},
	}}})
	want := &registryv1.CommitCursorsRequest{Shards: []*registryv1.ShardCursors{{
		Claim: &registryv1.Claim{Backend: "imapidle", Shard: 3, Epoch: 9},
		Cursors: []*registryv1.SubscriptionCursor{{
			SubscriptionId: "sub_1", Cursor: &mailv1.Cursor{Folder: "INBOX", UidValidity: 7, Uid: 20}, Replay: 2, Rewind: true,
			ResetFrom: &registryv1.ResetFrom{UidValidity: 6, Uid: 90},
		}},
		DeadLetters: []*registryv1.DeadLetter{{
			SubscriptionId: "sub_1", Folder: "INBOX", UidValidity: 7, FirstUid: 11, LastUid: 12,
			Reason: "the endpoint answered 400", At: timestamppb.New(time.Unix(5, 0)),
		}},
	}}}
	if diff := cmp.Diff([]*registryv1.CommitCursorsRequest{want}, requests, protocmp.Transform()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"testing"

	"mailpush.internal/pkg/rpc"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/pump"
)

// However many cursors wait, each call keeps the registry's rules and none is lost.
func TestCommitsKeepTheRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ shards, rows, calls int }{
		{0, 0, 0}, {1, 1, 1}, {1, 5000, 1}, {1, 5001, 2}, {1000, 1, 1}, {1001, 1, 2}, {3, 4000, 3},
	} {
		cursors := make(map[deliver.Claim][]deliver.Cursor)
		for shard := range c.shards {
			claim := deliver.Claim{Backend: "imapidle", Shard: uint32(shard), Epoch: 1}
			for row := range c.rows {
				cursors[claim] = append(cursors[claim], deliver.Cursor{
					Subscription: fmt.Sprint(row), Folder: "INBOX", Cursor: pump.Cursor{UIDValidity: 7, UID: 1},
				})
			}
		}
		requests := commits(cursors)
		rows := 0
		for _, request := range requests {
			if err := rpc.Validate(request); err != nil {
				t.Errorf("%d shards of %d: %v", c.shards, c.rows, err)
			}
			for _, shard := range request.GetShards() {
				rows += len(shard.GetCursors())
			}
		}
		if len(requests) != c.calls || rows != c.shards*c.rows {
			t.Errorf("%d shards of %d: %d calls with %d rows, want %d calls", c.shards, c.rows, len(requests), rows, c.calls)
		}
	}
}

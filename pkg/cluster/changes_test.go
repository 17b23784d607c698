// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"testing"
)

func TestChangesFromNowOnOfOneBackend(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	touch := func(backend string, shard uint32) {
		t.Helper()
		if err := client.Touch(t.Context(), backend, shard); err != nil {
			t.Fatal(err)
		}
	}
	touch("imapidle", 1)
	ctx, cancel := context.WithCancel(t.Context())
	changes := client.Changes(ctx, "imapidle")
	touch("dovecot", 2)
	touch("imapidle", 3)
	if got := receive(t, changes, "change"); got != 3 {
		t.Errorf("got shard %d, want 3", got)
	}
	touch("imapidle", 3)
	if got := receive(t, changes, "change"); got != 3 {
		t.Errorf("got shard %d, want 3 again", got)
	}
	cancel()
	for range changes {
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	ctx, cancel := context.WithCancel(t.Context())
	members, changes := client.Watch(ctx), client.WatchChanges(ctx)
	receive(t, changes, "first hint")
	if err := client.Touch(t.Context(), "imapidle", 1); err != nil {
		t.Fatal(err)
	}
	receive(t, changes, "hint of a change")

	receive(t, members, "first hint")
	member := join(t, client)
	receive(t, members, "hint of a join")
	report(t, member)
	receive(t, members, "hint of a report")
	leave(t, member)
	receive(t, members, "hint of a leave")
	cancel()
	for range members {
	}
	for range changes {
	}
}

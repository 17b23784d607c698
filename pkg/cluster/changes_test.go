// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

var (
	anna = userid.User{Context: "1", ID: "249"}
	bob  = userid.User{Context: "1", ID: "402"}
)

func idle(number uint32) shard.ID { return shard.ID{Backend: "imapidle", Number: number} }

func touch(t *testing.T, client *cluster.Client, at shard.ID, users ...userid.User) {
	t.Helper()
	if err := client.Touch(t.Context(), at, shard.ChangeOf(users...)); err != nil {
		t.Fatal(err)
	}
}

// expectChange receives a change, and those that were to be one with it and came too late.
func expectChange(t *testing.T, changes <-chan hold.Changed, at shard.ID, users ...userid.User) {
	t.Helper()
	got := receive(t, changes, "change")
	for got.Shard == at && len(got.Change.Users) < len(users) && !got.Change.Whole() {
		got.Change = got.Change.Merge(receive(t, changes, "change").Change)
	}
	if diff := cmp.Diff(hold.Changed{Shard: at, Change: shard.Change{Users: users}}, got); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
}

func TestChangesFromNowOnOfOneBackend(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	touch(t, client, idle(1))
	ctx, cancel := context.WithCancel(t.Context())
	changes := client.Changes(ctx, "imapidle")
	touch(t, client, shard.ID{Backend: "dovecot", Number: 2})
	touch(t, client, idle(3))
	expectChange(t, changes, idle(3))
	touch(t, client, idle(3))
	expectChange(t, changes, idle(3))
	cancel()
	for range changes {
	}
}

// watching returns changes whose watch stands: what is put from now on is seen as it is put.
func watching(t *testing.T, client *cluster.Client) <-chan hold.Changed {
	t.Helper()
	changes := client.Changes(t.Context(), "imapidle")
	for range 1000 { // those that a listing was faster with are of any user
		touch(t, client, idle(0), anna)
		if got := receive(t, changes, "change"); !got.Change.Whole() {
			return changes
		}
	}
	t.Fatal("no watch stands")
	return nil
}

func TestChangesNameTheUsers(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	changes := watching(t, client)
	touch(t, client, idle(3), anna)
	expectChange(t, changes, idle(3), anna)
	// Nobody receives meanwhile: what is of one shard is one change.
	touch(t, client, idle(4), anna)
	touch(t, client, idle(5), bob)
	touch(t, client, idle(4), bob)
	want := map[shard.ID]shard.Change{idle(4): {Users: []userid.User{anna, bob}}, idle(5): {Users: []userid.User{bob}}}
	seen := make(map[shard.ID]shard.Change)
	for !cmp.Equal(want, seen) {
		got := receive(t, changes, "change")
		if before, known := seen[got.Shard]; known {
			got.Change = before.Merge(got.Change)
		}
		if seen[got.Shard] = got.Change; got.Change.Whole() || len(got.Change.Users) > len(want[got.Shard].Users) {
			t.Fatalf("changes %v, want %v", seen, want)
		}
	}
	touch(t, client, idle(4), anna)
	touch(t, client, idle(4))
	for got := receive(t, changes, "change"); !got.Change.Whole(); {
		got = receive(t, changes, "change")
	}
}

// What is not understood may be of any user.
func TestChangesThatAreNotUnderstoodAreOfAnyUser(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	changes, etcd := watching(t, client), raw(t)
	for name, message := range map[string]proto.Message{
		"a later format": &clusterv1.Change{Format: 2, Users: []*mailv1.User{{ContextId: "1", UserId: "249"}}},
		"no user":        &clusterv1.Change{Format: 1, Users: []*mailv1.User{{ContextId: "1"}}},
		"nobody":         &clusterv1.Change{Format: 1},
		"garbage":        nil,
	} {
		value := []byte("\xffgarbage")
		if message != nil {
			var err error
			if value, err = proto.Marshal(message); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := etcd.Put(t.Context(), config.Prefix+"/changes/imapidle/7", string(value)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, changes, name); got.Shard != idle(7) || !got.Change.Whole() {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	ctx, cancel := context.WithCancel(t.Context())
	members, changes := client.Watch(ctx), client.WatchChanges(ctx)
	receive(t, changes, "first hint")
	touch(t, client, idle(1))
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/cluster"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

type workerBaseline = workerv1.GetBaselineRequest

// all are all shards.
func all() []uint32 {
	var out []uint32
	for n := range uint32(shards) {
		out = append(out, n)
	}
	return out
}

// untilListening waits until the worker's listener of a user is in IDLE, or is gone.
func untilListening(t *testing.T, client workerv1connect.WorkerServiceClient, user *mailv1.User, want bool) *workerv1.GetListenersResponse {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		response, err := client.GetListeners(t.Context(), connect.NewRequest(&workerv1.GetListenersRequest{Users: []*mailv1.User{user}}))
		if err == nil {
			listeners := response.Msg.GetListeners()
			idle := len(listeners) == 1 && listeners[0].GetState() == mailv1.ListenerState_LISTENER_STATE_IDLE
			if idle && want || len(listeners) == 0 && !want {
				return response.Msg
			}
		}
		select { // the RPC has no way to wait for a change
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatalf("the listener of %v: want listening %v", user, want)
	return nil
}

func TestOneMailIsOneSignedPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, stop := w.startWorker()
	id := w.joined()
	user := w.user("249")
	w.mail(user, "old")
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.registry.put(w.user("250"), "main", w.subscription(address, "sub_2", w.user("250")))
	w.plan(id, 1, 10, all()...)
	if held := w.reported(id, 1); held != shards {
		t.Fatalf("%d shards are reported, want %d", held, shards)
	}
	client := w.admin(address)
	if response := untilListening(t, client, user, true); response.GetWorker() != id || !response.GetListeners()[0].GetPermanent() {
		t.Errorf("listeners %v of %s", response, id)
	}

	uid := w.mail(user, "new")
	push := receive(t, "push", w.hook.got)
	data := push.body.Data
	if push.body.Type != "mail:new" || data.UserID != "249" || len(data.Events) != 1 || data.Events[0].Subject != "new" || data.Events[0].UID != uid {
		t.Errorf("push %+v", push)
	}
	if cursor := receive(t, "commit", w.registry.committed); cursor.GetSubscriptionId() != "sub_1" || cursor.GetCursor().GetUid() != uid {
		t.Errorf("committed %v", cursor)
	}

	// An orderly stop leaves nothing behind, and nothing is sent twice.
	stop()
	if held := w.reported(id, 1); held != 0 {
		t.Errorf("%d shards are still reported", held)
	}
	w.until("no worker", func(snapshot *cluster.Snapshot) bool { return snapshot.Entries[0].Worker == nil })
	if len(w.hook.got) != 0 {
		t.Errorf("a second push: %+v", <-w.hook.got)
	}
}

// What is there at the first look is taken for seen; the cursor that stands for it is stored,
// and every mail after it is pushed, also one that another worker comes to find.
func TestASubscriptionWithoutACursorBeginsAtTheFirstLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, stop := w.startWorker()
	id, user := w.joined(), w.user("249")
	subscription := w.subscription(address, "sub_1", user)
	subscription.Cursors = nil
	seen := w.mail(user, "before the first look")
	w.registry.put(user, "main", subscription)
	w.plan(id, 1, 10, all()...)
	if got := receive(t, "cursor", w.registry.committed); got.GetSubscriptionId() != "sub_1" || got.GetCursor().GetUid() != seen {
		t.Errorf("committed %v, the last mail is %d", got, seen)
	}
	w.push(user, "after it")
	stop()
	uid := w.mail(user, "while nobody looks")
	w.startWorker()
	w.plan(w.joined(id), 1, 20, all()...)
	if push := receive(t, "push", w.hook.got); push.body.Data.Cursor != uid || len(push.body.Data.Events) != 1 {
		t.Errorf("push %+v", push)
	}
}

func TestRefusedPushComesAgainWithTheSameIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user := w.user("249")
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, w.admin(address), user, true)
	w.hook.failNext(1)
	uid := w.mail(user, "new")
	first, second := receive(t, "push", w.hook.got), receive(t, "second push", w.hook.got)
	if first.id != second.id || first.body.Data.Events[0] != second.body.Data.Events[0] {
		t.Errorf("first %+v, then %+v", first, second)
	}
	if cursor := receive(t, "commit", w.registry.committed); cursor.GetCursor().GetUid() != uid {
		t.Errorf("committed %v", cursor)
	}
}

func TestMailOfTheTimeAwayIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, stop := w.startWorker()
	id := w.joined()
	user := w.user("249")
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	stop()
	w.mail(user, "one")
	uid := w.mail(user, "two")
	w.startWorker()
	w.plan(w.joined(id), 1, 10, all()...)
	push := receive(t, "push", w.hook.got)
	if len(push.body.Data.Events) != 2 || push.body.Data.Cursor != uid {
		t.Errorf("push %+v", push)
	}
}

func TestChangesOfTheRegistryAreFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	w.plan(id, 1, 10, all()...)
	w.reported(id, 1)
	user, client := w.user("249"), w.admin(address)
	touch := func() { w.touch(user) }
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	touch()
	untilListening(t, client, user, true)
	w.mail(user, "new")
	receive(t, "push", w.hook.got)
	w.registry.put(user, "main")
	touch()
	untilListening(t, client, user, false)
}

func TestRevokedShardIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user, client := w.user("249"), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, client, user, true)
	w.plan(id, 2, 10)
	if held := w.reported(id, 2); held != 0 {
		t.Errorf("%d shards are still reported", held)
	}
	untilListening(t, client, user, false)
}

func TestWrongPasswordIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user := w.user("249")
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	if err := w.imap.AddUser("249", "changed"); err != nil {
		t.Fatal(err)
	}
	w.plan(id, 1, 10, all()...)
	got := receive(t, "suspension", w.registry.suspended)
	if got.GetUser().GetUserId() != "249" || got.GetCredentialVersion() != 1 || got.GetReason() == "" ||
		got.GetClaim().GetEpoch() != 10 || got.GetClaim().GetShard() != shardOf(user) {
		t.Errorf("suspension %v", got)
	}
	_, err := w.admin(address).GetBaseline(t.Context(), connect.NewRequest(&workerBaseline{User: user, Store: w.registry.stores[0]}))
	if connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("baseline with a wrong password: %v", err)
	}
}

func TestLoginIsOpenedInItsSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user, client := w.user("249"), w.admin(address)
	subscription := w.subscription(address, "sub_1", user)
	if err := w.imap.AddUser("249", password9); err != nil {
		t.Fatal(err)
	}
	_, err := client.GetBaseline(t.Context(), connect.NewRequest(&workerBaseline{
		User: user, Store: w.registry.stores[0], CredentialSlot: 9,
	}))
	if err != nil {
		t.Error(err)
	}
	answer, err := client.GetBaselines(t.Context(), connect.NewRequest(&workerv1.GetBaselinesRequest{
		Store: w.registry.stores[0], Mailboxes: []*workerv1.BaselineMailbox{{User: user, CredentialSlot: 9}, {User: user}},
	}))
	if got := answer.Msg.GetBaselines(); err != nil || got[0].GetBaseline().GetCredentialVersion() == 0 || got[1].GetCode() != "unauthenticated" {
		t.Errorf("of both slots: %v, %v", got, err)
	}
	w.registry.put(user, "main", subscription)
	w.registry.inSlot(user, 9)
	w.plan(id, 1, 10, all()...)
	untilListening(t, client, user, true)
}

// push lets a mail arrive and waits for its push.
func (w *world) push(user *mailv1.User, subject string) {
	w.t.Helper()
	uid := w.mail(user, subject)
	if push := receive(w.t, "push", w.hook.got); push.body.Data.Cursor != uid {
		w.t.Errorf("push %+v", push)
	}
}

func TestSilentEtcdKeepsListenersAndALostLeaseBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user, client := w.user("249"), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, client, user, true)
	before := w.registry.questions()
	w.etcd.Close()
	for n := 0; w.registry.questions() < before+2; n++ { // past the fence each delivery asks
		w.push(user, fmt.Sprint("mail ", n))
	}
	if response := untilListening(t, client, user, true); response.GetWorker() != id {
		t.Errorf("the worker says it is %s, it was %s", response.GetWorker(), id)
	}
	if err := os.RemoveAll(w.etcdDir); err != nil { // no lease outlives that
		t.Fatal(err)
	}
	w.startEtcd()
	fresh := w.joined(id)
	untilListening(t, client, user, false)
	w.plan(fresh, 1, 20, all()...)
	if response := untilListening(t, client, user, true); response.GetWorker() != fresh {
		t.Errorf("the worker says it is %s, the cluster has %s", response.GetWorker(), fresh)
	}
	w.push(user, "new")
}

func TestNewerOwnerFencesThisOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user, client := w.user("249"), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, client, user, true)
	w.registry.mu.Lock()
	w.registry.epochs[shardOf(user)] = 11
	w.registry.mu.Unlock()
	w.mail(user, "new")
	receive(t, "push", w.hook.got) // the one that was in flight, so to speak
	untilListening(t, client, user, false)
}

func TestShardsWaitForTheRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user, client := w.user("249"), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.registry.setOutage(true)
	w.plan(id, 1, 10, all()...)
	if held := w.reported(id, 1); held != 0 {
		t.Errorf("%d shards are reported without the registry", held)
	}
	w.registry.setOutage(false)
	untilListening(t, client, user, true)
	w.until("all shards", func(snapshot *cluster.Snapshot) bool {
		held := snapshot.Entries[0].Have.GetHeld()
		return len(held) == 1 && len(held[0].GetShards()) == shards
	})
}

func TestOnlyAdminMayAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	w.joined()
	for service, want := range map[string]connect.Code{"scheduler": connect.CodePermissionDenied, "credential-vault": connect.CodePermissionDenied} {
		id, err := w.authority.Issue(service)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		client := workerClient(t, id, address)
		_, err = client.GetListeners(ctx, connect.NewRequest(&workerv1.GetListenersRequest{}))
		cancel()
		if connect.CodeOf(err) != want {
			t.Errorf("%s: %v, want %v", service, err, want)
		}
	}
}

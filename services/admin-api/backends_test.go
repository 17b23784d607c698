// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// twoBackends is a world with a second mail store whose new mail another backend notices,
// and a third whose backend nobody has.
func twoBackends(t *testing.T) *world {
	t.Helper()
	return newWorld(t, func(c *Config) {
		c.Stores = append(c.Stores,
			&mailv1.MailStore{Name: "second", Address: "127.0.0.2:143", Backend: "other"},
			&mailv1.MailStore{Name: "third", Address: "127.0.0.3:143", Backend: "unheard"})
		c.PermanentBackends = map[string]bool{"imapidle": true, "other": true}
	})
}

// subscribes a user of context 1 at a mail store.
func (w *world) subscribes(user, store string) reply {
	w.t.Helper()
	got := w.post(asApp, pushPath+"Subscribe", strings.NewReplacer(`"249"`, `"`+user+`"`, `"demo"`, `"`+store+`"`).Replace(subscribe))
	if got.status != 200 {
		w.t.Fatalf("%s at %s: %d %s", user, store, got.status, got.text)
	}
	return got
}

// loads are the users with a listener, by backend and shard.
func (w *world) loads() map[string]uint32 {
	w.t.Helper()
	res, err := w.registry(identity.Scheduler).ShardLoads(w.t.Context(), connect.NewRequest(&registryv1.ShardLoadsRequest{}))
	check(w.t, err)
	out := make(map[string]uint32)
	for _, l := range res.Msg.GetLoads() {
		out[fmt.Sprintf("%s/%d", l.GetBackend(), l.GetShard())] = l.GetListeners()
	}
	return out
}

// listedAs are the users that the owner of a user's shard of a backend is told of, and
// their mail stores.
func (w *world) listedAs(backend, user string) (users []string, stores []*mailv1.MailStore) {
	w.t.Helper()
	claim := &registryv1.Claim{Backend: backend, Shard: shard.Of("1", user, shards), Epoch: 5}
	req := connect.NewRequest(&registryv1.ListShardRequest{Claims: []*registryv1.Claim{claim}, KnowsSlots: true})
	res, err := w.registry(identity.Worker).ListShard(w.t.Context(), req)
	check(w.t, err)
	for _, box := range res.Msg.GetMailboxes() {
		users = append(users, box.GetUser().GetUserId())
	}
	return users, res.Msg.GetStores()
}

func inShard(backend, user string) string {
	return fmt.Sprintf("%s/%d", backend, shard.Of("1", user, shards))
}

func TestUsersAreInShardsOfTheirStoresBackend(t *testing.T) {
	t.Parallel()
	w := twoBackends(t)
	idle, other := w.cluster.Changes(t.Context(), "imapidle"), w.cluster.Changes(t.Context(), "other")
	w.subscribes("249", "demo")
	if touched := <-idle; touched.Shard.Number != shard.Of("1", "249", shards) {
		t.Errorf("touched %v of imapidle", touched)
	}
	if got := w.subscribes("402", "second"); got.body["permanent"] != true {
		t.Errorf("Subscribe: %s", got.text)
	}
	if touched := <-other; touched.Shard.Number != shard.Of("1", "402", shards) {
		t.Errorf("touched %v of other", touched)
	}
	if diff := cmp.Diff(map[string]uint32{inShard("imapidle", "249"): 1, inShard("other", "402"): 1}, w.loads()); diff != "" {
		t.Errorf("loads (-want +got):\n%s", diff)
	}
	users, stores := w.listedAs("other", "402")
	want := []*mailv1.MailStore{{Name: "second", Address: "127.0.0.2:143", Backend: "other"}}
	if diff := cmp.Diff([]string{"402"}, users) + cmp.Diff(want, stores, protocmp.Transform()); diff != "" {
		t.Errorf("listed of other (-want +got):\n%s", diff)
	}
	for backend, user := range map[string]string{"imapidle": "402", "other": "249"} {
		if users, _ := w.listedAs(backend, user); len(users) != 0 {
			t.Errorf("listed %v of %s", users, backend)
		}
	}
	explained := w.post(asAdmin, adminURL+"Explain", `{"contextId":"1","userId":"402"}`)
	if !strings.Contains(explained.text, "backend other supports permanent listeners") || !strings.Contains(explained.text, "a live worker is capable of other") {
		t.Errorf("Explain: %s", explained.text)
	}
}

// TestMoveToAStoreOfAnotherBackend tells both owners: the old one to drop the mailbox,
// the new one to take it.
func TestMoveToAStoreOfAnotherBackend(t *testing.T) {
	t.Parallel()
	w := twoBackends(t)
	idle, other := w.cluster.Changes(t.Context(), "imapidle"), w.cluster.Changes(t.Context(), "other")
	w.subscribes("249", "demo")
	<-idle
	w.subscribes("249", "second")
	for backend, changes := range map[string]<-chan hold.Changed{"imapidle": idle, "other": other} {
		if touched := <-changes; touched.Shard.Number != shard.Of("1", "249", shards) {
			t.Errorf("touched %v of %s", touched, backend)
		}
	}
	if users, _ := w.listedAs("imapidle", "249"); len(users) != 0 {
		t.Errorf("the old owner still has %v", users)
	}
	if users, _ := w.listedAs("other", "249"); len(users) != 1 {
		t.Errorf("the new owner has %v", users)
	}
	if diff := cmp.Diff(map[string]uint32{inShard("other", "249"): 1}, w.loads()); diff != "" {
		t.Errorf("loads (-want +got):\n%s", diff)
	}
}

func TestBackendThatNobodyHas(t *testing.T) {
	t.Parallel()
	w := twoBackends(t)
	got := w.subscribes("249", "third")
	if got.body["permanent"] != false || got.str("reason") != `this version has no backend "unheard"; it has: imapidle, other` {
		t.Errorf("Subscribe: %s", got.text)
	}
	if users, _ := w.listedAs("unheard", "249"); len(users) != 0 || len(w.loads()) != 0 {
		t.Errorf("listed %v, loads %v", users, w.loads())
	}
}

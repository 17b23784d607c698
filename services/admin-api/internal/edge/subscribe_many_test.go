// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// requestOf asks for the nth user.
func requestOf(n int) Request {
	r := request()
	r.User = registry.UserID{Context: "1", User: fmt.Sprint("many-", n)}
	r.Account = &Account{Store: "demo", Login: fmt.Sprint("login-", n), Password: secret.New("pw")}
	return r
}

// requestsOf asks for n users, whose mailboxes are not opened before the answer.
func requestsOf(n int) []Request {
	list := make([]Request, n)
	for i := range list {
		list[i] = requestOf(i)
		list[i].Start = StartAtFirstLook
	}
	return list
}

func TestManyAreStoredTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := requestsOf(20)
	for i, a := range w.SubscribeMany(t.Context(), list) {
		if a.Err != nil || !a.Permanent || a.Keys.Made.IsZero() {
			t.Errorf("%d: %+v", i, a)
		}
		if w.login(t, list[i].User) != fmt.Sprintf("login-%d:pw", i) || w.secret(t, a.ID) != a.Keys.Made.Reveal() {
			t.Errorf("%d: login %q", i, w.login(t, list[i].User))
		}
	}
	if w.vault.calls != 1 || w.store.commits != 1 || len(w.workers.asked) != 0 || len(w.store.erasures) != 0 {
		t.Errorf("%d calls of the vault, %d of the registry, %d of a worker, noted %v", w.vault.calls, w.store.commits, len(w.workers.asked), w.store.erasures)
	}
	for _, sub := range w.store.subs {
		if len(sub.Cursors) != 0 {
			t.Errorf("%s has %v before anybody has looked", sub.UserID, sub.Cursors)
		}
	}
	touched := slices.Clone(w.cluster.touched)
	slices.SortFunc(touched, registry.Shard.Compare)
	if len(touched) != 4 || len(slices.Compact(touched)) != 4 {
		t.Errorf("touched %v, want each of the 4 shards once", touched)
	}
}

// What is wrong with one row, or befalls it, is nothing to the others, and is said in the
// words of Subscribe.
func TestABadRowFailsNoOther(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "mail store does not answer")
	for name, tt := range map[string]struct {
		change func(*world, *Request) // of the row in the middle
		kind   fault.Kind
		want   string
	}{
		"url":     {func(_ *world, r *Request) { r.Target.Address = "http://h/" }, fault.Invalid, "webhook.url: must be https"},
		"store":   {func(_ *world, r *Request) { r.Account.Store = "x" }, fault.Invalid, "account.mailStore: no such mail store"},
		"login":   {func(_ *world, r *Request) { r.Account.Login = "a\x00b" }, fault.Invalid, "account.login: must not hold a zero byte"},
		"folder":  {func(_ *world, r *Request) { r.Cursor = &registry.Cursor{Folder: "Sent", UIDValidity: 7} }, fault.Invalid, "cursor.folder: must be INBOX"},
		"no uids": {func(_ *world, r *Request) { r.Cursor = &registry.Cursor{Folder: "INBOX"} }, fault.Invalid, "cursor.uidValidity: is required"},
		"the vault refuses": {func(w *world, r *Request) {
			w.vault.failing[r.User.String()+" mail"] = fault.New(fault.Precondition, "push.credstorage.enabled is false")
		}, fault.Precondition, "push.credstorage.enabled is false"},
		"overtaken": {func(w *world, r *Request) {
			w.store.overtakes = r.User
		}, fault.Unavailable, "another call was faster"},
		"unreachable": {func(w *world, r *Request) {
			r.Start, w.workers.baseline[r.User.String()] = StartAtAnswer, down
		}, fault.Unavailable, "mail store does not answer"},
		"the master user is refused": {func(w *world, r *Request) {
			w.Policy.MasterUser = true
			r.Start, r.Account.Login, r.Account.Password = StartAtAnswer, "", secret.String{}
			w.workers.baseline[r.User.String()] = fault.New(fault.Unauthenticated, "refused the master user")
		}, fault.Unavailable, "refused the master user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, list := newWorld(t), requestsOf(5)
			tt.change(w, &list[2])
			for i, a := range w.SubscribeMany(t.Context(), list) {
				if i == 2 && (fault.KindOf(a.Err) != tt.kind || !strings.HasPrefix(a.Err.Error(), tt.want)) {
					t.Errorf("the bad row: %+v", a)
				}
				if i != 2 && (a.Err != nil || !a.Permanent || w.login(t, list[i].User) != fmt.Sprintf("login-%d:pw", i)) {
					t.Errorf("row %d: %+v", i, a)
				}
			}
			if _, there := w.store.users[list[2].User]; there || len(w.store.subs) != 4 {
				t.Errorf("stored %v", w.store.subs)
			}
			w.store.pass() // what may have been sealed all the same is erased in time
			if err := w.EraseNoted(t.Context()); err != nil || len(w.vault.sealed) != 8 || len(w.store.erasures) != 0 {
				t.Errorf("sealed %v, noted %v, %v", w.vault.sealed, w.store.erasures, err)
			}
		})
	}
}

// Where nothing can be stored, nothing is left: no row, and in the vault nothing for ever.
func TestAPageThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "down")
	for name, breakIt := range map[string]func(*world){
		"vault":                  func(w *world) { w.vault.failing["webhook"] = down },
		"registry":               func(w *world) { w.store.failing = errors.New("disk full") },
		"registry, for a moment": func(w *world) { w.store.failing, w.store.failingReads = down, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			breakIt(w)
			for _, a := range w.SubscribeMany(t.Context(), requestsOf(5)) {
				if a.Err == nil {
					t.Errorf("got %+v", a)
				}
			}
			w.store.pass()
			if err := w.EraseNoted(t.Context()); err != nil || len(w.store.subs)+len(w.vault.sealed)+len(w.store.erasures)+len(w.cluster.touched) != 0 {
				t.Errorf("left behind %+v %v, %v", w.store, w.vault.sealed, err)
			}
		})
	}
}

// An answer that is lost is asked for again: what there is stays, secrets and cursors too,
// and a login proves itself before it comes into the place of the one before.
func TestThePageAgainChangesNothing(t *testing.T) {
	t.Parallel()
	w, list := newWorld(t), requestsOf(5)
	first := w.SubscribeMany(t.Context(), list)
	w.store.subs[3].Cursors = []registry.Cursor{{Folder: "INBOX", UIDValidity: 7, UID: 12}}
	again := w.SubscribeMany(t.Context(), list)
	for i, a := range again {
		if a.Err != nil || a.ID != first[i].ID || !a.Keys.Made.IsZero() || w.secret(t, a.ID) != first[i].Keys.Made.Reveal() {
			t.Errorf("%d: %+v, was %+v", i, a, first[i])
		}
	}
	at := slices.IndexFunc(w.store.subs, func(s registry.Subscription) bool { return s.ID == again[3].ID })
	if got := w.store.subs[at].Cursors; len(w.store.subs) != 5 || len(got) != 1 || got[0].UID != 12 {
		t.Errorf("%d subscriptions, cursors %v", len(w.store.subs), got)
	}
	if len(w.workers.asked) != 5 {
		t.Errorf("%d logins were tried, want 5: each takes another's place", len(w.workers.asked))
	}
	w.workers.baseline["a1"] = fault.New(fault.Unauthenticated, "refused")
	for i, a := range w.SubscribeMany(t.Context(), list) {
		if fault.KindOf(a.Err) != fault.Precondition || w.login(t, list[i].User) != fmt.Sprintf("login-%d:pw", i) {
			t.Errorf("%d, refused: %+v", i, a)
		}
	}
}

// Rows of one user build on each other: the account they have in common is stored, and
// tried, once.
func TestRowsOfOneUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := []Request{requestOf(1), requestOf(1), requestOf(2), requestOf(1), requestOf(1)}
	list[1].Device, list[3].Device = "d2", "d3"
	list[3].Account.Password = secret.New("another")
	list[4].Client = "desktop"
	for i := range list {
		list[i].Start = StartAtFirstLook
	}
	w.workers.baseline[list[0].User.String()] = fault.New(fault.Unauthenticated, "refused")
	got := w.SubscribeMany(t.Context(), list)
	for i, a := range got {
		if i == 3 && fault.KindOf(a.Err) != fault.Precondition || i != 3 && (a.Err != nil || !a.Permanent) {
			t.Errorf("row %d: %+v", i, a)
		}
	}
	if len(w.workers.asked) != 1 || len(w.store.subs) != 4 || w.login(t, list[0].User) != "login-1:pw" {
		t.Errorf("%d logins were tried, stored %v", len(w.workers.asked), w.store.subs)
	}
	// The very same row twice is one subscription.
	both := w.SubscribeMany(t.Context(), []Request{list[2], list[2]})
	if both[0].Err != nil || both[0].ID != got[2].ID || both[1].ID != got[2].ID {
		t.Errorf("got %+v", both)
	}
}

func TestWhereCursorsBegin(t *testing.T) {
	t.Parallel()
	given := registry.Cursor{Folder: "INBOX", UIDValidity: 3, UID: 55}
	for name, tt := range map[string]struct {
		start Start
		given *registry.Cursor
		want  []registry.Cursor
		asked int
	}{
		"at the first look":             {StartAtFirstLook, nil, nil, 0},
		"at the answer":                 {StartAtAnswer, nil, []registry.Cursor{{Folder: "INBOX", UIDValidity: 7, UID: 100}}, 1},
		"given":                         {StartAtFirstLook, &given, []registry.Cursor{given}, 0},
		"given, and the login is tried": {StartAtAnswer, &given, []registry.Cursor{given}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, r := newWorld(t), requestOf(1)
			r.Start, r.Cursor = tt.start, tt.given
			a := w.SubscribeMany(t.Context(), []Request{r})[0]
			if got := w.store.subs[0].Cursors; a.Err != nil || !a.Permanent || !slices.Equal(got, tt.want) || len(w.workers.asked) != tt.asked {
				t.Errorf("got %+v, cursors %v, %d mailboxes opened", a, got, len(w.workers.asked))
			}
		})
	}
}

// A worker that does not answer for some of them leaves these to the next one.
func TestTheNextWorkerOpensWhatTheFirstDoesNot(t *testing.T) {
	t.Parallel()
	w, list := newWorld(t), requestsOf(6)
	w.scheduler.members.Workers = append(w.scheduler.members.Workers, Worker{ID: "w3", Address: "a3", Backends: []string{"imapidle"}})
	w.workers.baseline["a1"] = errors.Join(ErrNoAnswer, errors.New("reset by peer"))
	for i := range list {
		list[i].Start = StartAtAnswer
	}
	for i, a := range w.SubscribeMany(t.Context(), list) {
		if a.Err != nil || !a.Permanent {
			t.Errorf("%d: %+v", i, a)
		}
	}
	if n := len(w.workers.asked); n != 6 && n != 12 {
		t.Errorf("asked %v", w.workers.asked)
	}
}

// Pages of the same devices, each in an order of its own, all come to their end.
func TestPagesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const users = 31 // a prime: each page has all of them
	var pages sync.WaitGroup
	for p := range 8 {
		list := make([]Request, users)
		for i := range list {
			list[i] = requestOf((i*(2*p+1) + p) % users)
			list[i].Start = StartAtFirstLook
		}
		pages.Go(func() {
			for i, a := range w.SubscribeMany(t.Context(), list) {
				if a.Err != nil {
					t.Errorf("page %d, row %d: %v", p, i, a.Err)
				}
			}
		})
	}
	pages.Wait()
	if len(w.store.subs) != users || len(w.devices.turns) != 0 {
		t.Errorf("%d subscriptions, %d locks", len(w.store.subs), len(w.devices.turns))
	}
}

// Who gives up while waiting for one of several locks lets go of the others.
func TestLocksThatAreNotAllHadAreLetGo(t *testing.T) {
	t.Parallel()
	l := newLocks[int]()
	unlock, err := l.lock(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lockAll(ctx, []int{2, 3}); err == nil {
		t.Error("got a lock that another has")
	}
	free, err := l.lockAll(t.Context(), []int{1, 3})
	if err != nil {
		t.Fatal(err)
	}
	free()
	unlock()
	if len(l.turns) != 0 {
		t.Errorf("%d locks are left", len(l.turns))
	}
}

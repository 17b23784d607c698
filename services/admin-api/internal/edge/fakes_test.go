// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

var (
	anna = registry.UserID{Context: "1", User: "249"}
	bob  = registry.UserID{Context: "1", User: "402"}
)

// fakeStore is the registry in memory. failing names the method that fails.
type fakeStore struct {
	fakeChanges
	fakeEndpoints

	mu       sync.Mutex
	users    map[registry.UserID]registry.User
	subs     []registry.Subscription
	erasures []registry.Erasure
	failing  error
}

func (f *fakeStore) User(_ context.Context, id registry.UserID) (registry.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, ok := f.users[id]
	if !ok {
		return u, fault.New(fault.NotFound, "nothing is registered")
	}
	for _, s := range f.subs {
		if s.UserID == id && !slices.Contains(u.Clients, s.Client) {
			u.Clients = append(u.Clients, s.Client)
		}
	}
	return u, nil
}

func (f *fakeStore) Subscriptions(_ context.Context, user registry.UserID) ([]registry.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []registry.Subscription
	for _, s := range f.subs {
		if s.UserID == user {
			out = append(out, s)
		}
	}
	return out, nil
}

func (f *fakeStore) Subscription(_ context.Context, id string) (registry.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.subs, func(s registry.Subscription) bool { return s.ID == id })
	if i < 0 {
		return registry.Subscription{}, fault.New(fault.NotFound, "no such subscription")
	}
	return f.subs[i], nil
}

func (f *fakeStore) Subscribe(_ context.Context, sub registry.Subscription, store string, cred *registry.Credential) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return f.failing
	}
	u, ok := f.users[sub.UserID]
	if !ok {
		u = registry.User{UserID: sub.UserID, Enabled: true, Credential: registry.Credential{State: registry.CredentialNone}}
	}
	if store != "" {
		u.Store = store
	}
	if cred != nil {
		u.Credential = *cred
	}
	f.users[sub.UserID] = u
	f.subs = slices.DeleteFunc(f.subs, func(s registry.Subscription) bool { return s.ID == sub.ID })
	f.subs = append(f.subs, sub)
	return nil
}

func (f *fakeStore) Unsubscribe(_ context.Context, id string) (registry.Removed, error) {
	return f.take(func(s registry.Subscription) bool { return s.ID == id })
}

func (f *fakeStore) Unregister(_ context.Context, user registry.UserID, client string) (registry.Removed, error) {
	return f.take(func(s registry.Subscription) bool { return s.UserID == user && s.Client == client })
}

func (f *fakeStore) take(match func(registry.Subscription) bool) (registry.Removed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var r registry.Removed
	var left []registry.Subscription
	for _, s := range f.subs {
		if !match(s) {
			left = append(left, s)
			continue
		}
		r.User = f.users[s.UserID]
		for _, account := range registry.WebhookAccounts(s.ID) {
			r.Erasures = append(r.Erasures, registry.Erasure{UserID: s.UserID, Account: account})
		}
	}
	if len(r.Erasures) == 0 {
		return r, fault.New(fault.NotFound, "no such registration")
	}
	f.subs = left
	if !slices.ContainsFunc(left, func(s registry.Subscription) bool { return s.UserID == r.User.UserID }) {
		r.Last = true
		r.Erasures = append(r.Erasures, registry.Erasure{UserID: r.User.UserID, Account: registry.MailAccount})
		delete(f.users, r.User.UserID)
	}
	f.erasures = append(f.erasures, r.Erasures...)
	return r, nil
}

func (f *fakeStore) Erase(_ context.Context, e []registry.Erasure) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.erasures = append(f.erasures, e...)
	return nil
}

func (f *fakeStore) Erasures(_ context.Context, limit int) ([]registry.Erasure, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.erasures[:min(limit, len(f.erasures))]), nil
}

func (f *fakeStore) Noted(_ context.Context, e registry.Erasure) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.erasures, e), nil
}

func (f *fakeStore) Erased(_ context.Context, e registry.Erasure) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.erasures = slices.DeleteFunc(f.erasures, func(o registry.Erasure) bool { return o == e })
	return nil
}

func (f *fakeStore) ListUsers(_ context.Context, _, after string, limit int) ([]registry.User, error) {
	var out []registry.User
	for id := range f.users {
		if u, err := f.User(context.Background(), id); err == nil && id.Key() > after {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b registry.User) int { return strings.Compare(a.Key(), b.Key()) })
	return out[:min(limit, len(out))], nil
}

func (f *fakeStore) ListRegistrations(context.Context, string, string, string, int) ([]registry.Registration, error) {
	return nil, nil
}

// fakeVault remembers what is sealed, by user and account.
type fakeVault struct {
	mu      sync.Mutex
	sealed  map[string]string
	version uint64
	failing map[string]error // by account, or "delete"
}

func (f *fakeVault) seal(user registry.UserID, account, what string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind, _, _ := strings.Cut(account, "/")
	if err := f.failing[kind]; err != nil {
		return 0, err
	}
	f.version++
	f.sealed[user.String()+" "+account] = what
	return f.version, nil
}

func (f *fakeVault) SealPassword(_ context.Context, u registry.UserID, login string, pw secret.String) (uint64, error) {
	return f.seal(u, "mail", login+":"+pw.Reveal())
}

func (f *fakeVault) SealMaster(_ context.Context, u registry.UserID, login string) (uint64, error) {
	return f.seal(u, "mail", login)
}

func (f *fakeVault) SealWebhook(_ context.Context, u registry.UserID, account string, key secret.String) (uint64, error) {
	return f.seal(u, account, key.Reveal())
}

func (f *fakeVault) Delete(_ context.Context, u registry.UserID, account string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failing["delete"]; err != nil {
		return err
	}
	delete(f.sealed, u.String()+" "+account)
	return nil
}

type fakeCluster struct {
	touched []uint32
	err     error
}

func (f *fakeCluster) Touch(_ context.Context, _ string, shard uint32) error {
	if f.err == nil {
		f.touched = append(f.touched, shard)
	}
	return f.err
}

type fakeScheduler struct {
	members Members
	err     error
}

func (f *fakeScheduler) Members(context.Context) (Members, error) { return f.members, f.err }

// fakeWorkers answers by the worker's address.
type fakeWorkers struct {
	mu        sync.Mutex
	baseline  map[string]error
	asked     []string
	listeners map[string][]Listener
	silent    map[string]error
	told      []string // id@address draining, of SetDraining
	delivered map[string][]Delivery
	tests     map[string]TestResult
}

func (f *fakeWorkers) Baseline(
	_ context.Context, address string, _ registry.UserID, _ *mailv1.MailStore,
) ([]registry.Cursor, error) {
	f.asked = append(f.asked, address)
	if err := f.baseline[address]; err != nil {
		return nil, err
	}
	return []registry.Cursor{{Folder: "INBOX", UIDValidity: 7, UID: 100}}, nil
}

func (f *fakeWorkers) Listeners(_ context.Context, address string, _ []registry.UserID) ([]Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listeners[address], f.silent[address]
}

func (f *fakeWorkers) SetDraining(_ context.Context, address, id string, draining bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.silent[address]; err != nil {
		return err
	}
	f.told = append(f.told, fmt.Sprintf("%s@%s %v", id, address, draining))
	return nil
}

func (f *fakeWorkers) Deliveries(_ context.Context, address string, _ []registry.UserID) ([]Delivery, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.delivered[address]), f.silent[address]
}

func (f *fakeWorkers) SendTest(_ context.Context, address string, sub registry.Subscription) (TestResult, error) {
	f.asked = append(f.asked, address)
	if err := f.silent[address]; err != nil {
		return TestResult{}, err
	}
	return f.tests[sub.ID], nil
}

// world is an Edge among fakes, all well.
type world struct {
	*Edge
	store     *fakeStore
	vault     *fakeVault
	cluster   *fakeCluster
	scheduler *fakeScheduler
	workers   *fakeWorkers
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		store:   &fakeStore{users: make(map[registry.UserID]registry.User)},
		vault:   &fakeVault{sealed: make(map[string]string), failing: make(map[string]error)},
		cluster: &fakeCluster{},
		scheduler: &fakeScheduler{members: Members{Leader: "s1", Workers: []Worker{
			{ID: "w1", Address: "a1", Backends: []string{"imapidle"}},
			{ID: "w2", Address: "a2", Backends: []string{"mailnotify"}},
		}}},
		workers: &fakeWorkers{baseline: make(map[string]error), listeners: make(map[string][]Listener), silent: make(map[string]error)},
	}
	w.Edge = New(Config{
		Policy: decide.Policy{
			AllowPermanentPush: true, CredStorage: true, PermanentBackends: []string{"imapidle"},
			Stores: map[string]string{"demo": "imapidle", "sleepy": "mailnotify"},
		},
		Stores:       map[string]*mailv1.MailStore{"demo": {Name: "demo"}, "sleepy": {Name: "sleepy"}},
		MasterLogins: map[string]string{"demo": "{user}@{context}", "sleepy": "{context}/{user}"},
		Shards:       4, Store: w.store, Vault: w.vault, Cluster: w.cluster, Scheduler: w.scheduler, Workers: w.workers,
		Log: slog.New(slog.DiscardHandler),
	})
	return w
}

func request() Request {
	return Request{
		User: anna, Client: "mobile", Device: "d1", Topics: []string{"mail:new"},
		Account: &Account{Store: "demo", Login: "anna", Password: secret.New("pw")},
		Webhook: Webhook{URL: "https://hook.example/x"},
	}
}

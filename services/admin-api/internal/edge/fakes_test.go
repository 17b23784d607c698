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
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/explain"
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
	fakeHistory

	mu       sync.Mutex
	users    map[registry.UserID]registry.User
	subs     []registry.Subscription
	erasures map[registry.Erasure]time.Time // until when they are kept, zero for no longer
	failing  error
	reading  error  // what reading users and subscriptions comes to
	lost     bool   // what is stored is not answered
	faster   func() // what another call does before the next one is stored, which is overtaken
	commits  int    // calls of Subscribe

	overtakes    registry.UserID // whose enrolments are overtaken, each time
	failingReads bool            // what fails is the reading before it, too
}

func (f *fakeStore) User(_ context.Context, id registry.UserID) (registry.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, ok := f.users[id]
	if f.reading != nil {
		return u, f.reading
	}
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
	if f.reading != nil {
		return registry.Subscription{}, f.reading
	}
	if i < 0 {
		return registry.Subscription{}, fault.New(fault.NotFound, "no such subscription")
	}
	return f.subs[i], nil
}

func (f *fakeStore) Registered(ctx context.Context, users []registry.UserID) (map[registry.UserID]registry.Mailbox, error) {
	if f.failingReads {
		return nil, f.failing
	}
	found := make(map[registry.UserID]registry.Mailbox)
	for _, id := range users {
		if u, err := f.User(ctx, id); err == nil {
			subs, _ := f.Subscriptions(ctx, id)
			found[id] = registry.Mailbox{User: u, Subscriptions: subs}
		}
	}
	return found, nil
}

func (f *fakeStore) Subscribe(_ context.Context, list []registry.Enrolment) ([]error, error) {
	f.mu.Lock()
	f.commits++
	f.mu.Unlock()
	errs := make([]error, len(list))
	for i, e := range list {
		errs[i] = f.subscribe(e)
	}
	if f.failing != nil {
		return nil, f.failing
	}
	return errs, nil
}

func (f *fakeStore) subscribe(e registry.Enrolment) error {
	if faster := f.faster; faster != nil {
		f.faster = nil
		faster()
		return fault.Wrap(fault.Unavailable, registry.ErrOvertaken, "another call was faster; try again")
	}
	if e.UserID == f.overtakes {
		return fault.Wrap(fault.Unavailable, registry.ErrOvertaken, "another call was faster; try again")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil && !f.lost {
		return f.failing
	}
	u, ok := f.users[e.UserID]
	if !ok {
		u = registry.User{UserID: e.UserID, Enabled: true, Credential: registry.Credential{State: registry.CredentialNone}}
	}
	for _, account := range e.Sealed {
		if f.erasures[account].IsZero() {
			return fault.New(fault.Unavailable, "not reserved: %s", account.Account)
		}
		delete(f.erasures, account)
	}
	if e.MailStore != "" {
		u.Store, u.Doveadm = e.MailStore, e.Doveadm
	}
	if e.Credential != nil {
		if u.Credential.Version > 0 {
			f.replaced(u.UserID, registry.MailAccount(u.Credential.Slot), registry.MailAccount(e.Credential.Slot))
		}
		u.Credential = *e.Credential
	}
	f.users[e.UserID] = u
	f.subs = slices.DeleteFunc(f.subs, func(s registry.Subscription) bool {
		if s.ID == e.ID {
			f.replaced(u.UserID, registry.WebhookAccount(s.ID, s.Signing.Slot), registry.WebhookAccount(s.ID, e.Signing.Slot))
			if s.Headers.Slot != 0 {
				f.replaced(u.UserID, registry.HeadersAccount(s.ID, s.Headers.Slot), registry.HeadersAccount(s.ID, e.Headers.Slot))
			}
		}
		return s.ID == e.ID
	})
	f.subs = append(f.subs, e.Subscription)
	return nil
}

func (f *fakeStore) replaced(user registry.UserID, old, by string) {
	if old != by {
		f.erasures[registry.Erasure{UserID: user, Account: old}] = time.Now().Add(registry.Lingers)
	}
}

func (f *fakeStore) Unsubscribe(_ context.Context, id string) (registry.Removed, error) {
	return f.take(func(s registry.Subscription) bool { return s.ID == id })
}

func (f *fakeStore) Unregister(_ context.Context, user registry.UserID, client string) (registry.Removed, error) {
	return f.take(func(s registry.Subscription) bool { return s.UserID == user && s.Client == client })
}

// Expired are those that are marked as gone, however long.
func (f *fakeStore) Expired(_ context.Context, _ time.Time, limit int) (ids []string, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		if s.Disabled.Gone && len(ids) < limit {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}

func (f *fakeStore) Expire(_ context.Context, id string, _ time.Time) (registry.Removed, error) {
	return f.take(func(s registry.Subscription) bool { return s.ID == id && s.Disabled.Gone })
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
		r.Subscriptions = append(r.Subscriptions, s)
		account := registry.WebhookAccount(s.ID, s.Signing.Slot)
		r.Erasures = append(r.Erasures, registry.Erasure{UserID: s.UserID, Account: account})
		if s.Headers.Slot != 0 {
			r.Erasures = append(r.Erasures, registry.Erasure{UserID: s.UserID, Account: registry.HeadersAccount(s.ID, s.Headers.Slot)})
		}
	}
	if len(r.Erasures) == 0 {
		return r, fault.New(fault.NotFound, "no such registration")
	}
	f.subs = left
	if !slices.ContainsFunc(left, func(s registry.Subscription) bool { return s.UserID == r.User.UserID }) {
		r.Last = true
		account := registry.MailAccount(r.User.Credential.Slot)
		r.Erasures = append(r.Erasures, registry.Erasure{UserID: r.User.UserID, Account: account})
		delete(f.users, r.User.UserID)
	}
	for _, e := range r.Erasures {
		f.erasures[e] = time.Time{}
	}
	return r, nil
}

func (f *fakeStore) Reserve(_ context.Context, list []registry.Erasure, until time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range list {
		if _, noted := f.erasures[e]; noted {
			return fault.New(fault.Unavailable, "noted already")
		}
		f.erasures[e] = until
	}
	return nil
}

func (f *fakeStore) Condemn(_ context.Context, list []registry.Erasure) (free []registry.Erasure, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range list {
		if !f.erasures[e].IsZero() {
			f.erasures[e] = time.Time{}
			free = append(free, e)
		}
	}
	return free, nil
}

func (f *fakeStore) Erasures(_ context.Context, now time.Time, limit int) (due []registry.Erasure, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e, until := range f.erasures {
		if len(due) < limit && !until.After(now) {
			f.erasures[e] = time.Time{}
			due = append(due, e)
		}
	}
	return due, nil
}

// pass lets the time pass until which accounts are kept.
func (f *fakeStore) pass() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.erasures {
		f.erasures[e] = time.Now()
	}
}

func (f *fakeStore) Erased(_ context.Context, e registry.Erasure) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.erasures, e)
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
	failing map[string]error // by account, with or without its user before it, or "delete"
	calls   int              // of Seal
	during  func()           // what others do when the first deletion is on its way
}

// Seal seals all or none.
func (f *fakeVault) Seal(_ context.Context, list []Sealing) ([]uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	for _, s := range list {
		kind, _, _ := strings.Cut(s.Account, "/")
		for _, at := range []string{kind, s.String() + " " + kind} {
			if err := f.failing[at]; err != nil {
				return nil, err
			}
		}
	}
	versions := make([]uint64, len(list))
	for i, s := range list {
		f.version = max(f.version, s.Above) + 1
		f.sealed[s.String()+" "+s.Account], versions[i] = text(s.Secret), f.version
	}
	return versions, nil
}

// text is a secret as the tests read it.
func text(s Secret) string {
	switch s := s.(type) {
	case Password:
		return s.Login + ":" + s.Password.Reveal()
	case Master:
		return s.Login
	case SigningKey:
		return s.Key.Reveal()
	case SealedHeaders:
		out := s.Origin
		for _, h := range s.Headers {
			out += " " + h.Name + "=" + h.Value.Reveal()
		}
		return out
	default:
		panic(fmt.Sprintf("a secret of type %T", s))
	}
}

func (f *fakeVault) Has(_ context.Context, u registry.UserID, account string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, there := f.sealed[u.String()+" "+account]
	return there, f.failing["has"]
}

func (f *fakeVault) Delete(_ context.Context, u registry.UserID, account string) error {
	if during := f.during; during != nil {
		f.during = nil
		during()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failing["delete"]; err != nil {
		return err
	}
	delete(f.sealed, u.String()+" "+account)
	return nil
}

type fakeCluster struct {
	mu      sync.Mutex // guards touched where a test reads it meanwhile
	touched []registry.Shard
	changes []shard.Change // of them
	err     error
	during  func() // what others do meanwhile
}

func (f *fakeCluster) Touch(_ context.Context, at registry.Shard, change shard.Change) error {
	if during := f.during; during != nil {
		f.during = nil
		during()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.touched = append(f.touched, at)
		f.changes = append(f.changes, change)
	}
	return f.err
}

// Leader implements [Cluster].
func (f *fakeCluster) Leader(context.Context) (string, error) { return "s1", f.err }

// idle is a shard of the backend that most users of the tests are of.
func idle(number uint32) registry.Shard {
	return registry.Shard{Backend: "imapidle", Number: number}
}

type fakeScheduler struct {
	members Members
	err     error
	places  map[registry.Shard]explain.Placement
	old     bool // it cannot tell where a shard is
}

func (f *fakeScheduler) Members(context.Context) (Members, error) { return f.members, f.err }

func (f *fakeScheduler) Placement(_ context.Context, of registry.Shard) (explain.Placement, error) {
	if f.old {
		return explain.Placement{}, ErrTooOld
	}
	return f.places[of], f.err
}

// fakeWorkers answers by the worker's address.
// OpenedShards implements [Listings].
func (*fakeStore) OpenedShards(_ context.Context, backend string) ([]uint32, error) {
	return map[string][]uint32{"imapidle": {0, 2}, "mailnotify": {1}}[backend], nil
}

type fakeWorkers struct {
	mu        sync.Mutex
	baseline  map[string]error    // by the worker's address, or by user
	old       map[string]bool     // those that know no slots
	during    func(registry.User) // what happens while a mailbox is being opened
	asked     []string
	opened    []string // what doveadm was to be asked for, empty for a login of the vault
	listeners map[string][]Listener
	silent    map[string]error
	told      []string // id@address draining, of SetDraining
	delivered map[string][]Delivery
	tests     map[string]TestResult
	retried   map[string]Retried
	endings   []string // subscription: reason, of SendEndings
	ending    func()   // what happens when one is asked for
	explained map[string]*workerv1.ExplainUserResponse
}

func (f *fakeWorkers) Explain(_ context.Context, address string, _ registry.UserID) (*workerv1.ExplainUserResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, address)
	return f.explained[address], f.silent[address]
}

func (f *fakeWorkers) SendEndings(
	_ context.Context, address string, user registry.UserID, subs []registry.Subscription, reason string,
) error {
	if f.ending != nil {
		f.ending()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.silent[address]; err != nil {
		return err
	}
	for _, s := range subs {
		f.endings = append(f.endings, fmt.Sprintf("%s of %s: %s", s.ID, user, reason))
	}
	return nil
}

func (f *fakeWorkers) Baselines(
	_ context.Context, address string, users []registry.User, _ *mailv1.MailStore,
) ([]Baseline, error) {
	answers := make([]Baseline, len(users))
	for i, u := range users {
		answers[i] = f.open(address, u)
	}
	return answers, nil
}

func (f *fakeWorkers) open(address string, user registry.User) Baseline {
	if f.during != nil {
		f.during(user)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.opened = append(f.asked, address), append(f.opened, user.Doveadm)
	for _, at := range []string{address, user.String()} {
		if err := f.baseline[at]; err != nil {
			return Baseline{Err: err}
		}
	}
	version := user.Credential.Version
	if f.old[address] {
		version = 1
	}
	return Baseline{Cursors: []registry.Cursor{{Folder: "INBOX", UIDValidity: 7, UID: 100}}, Version: version}
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
		store:   &fakeStore{users: make(map[registry.UserID]registry.User), erasures: make(map[registry.Erasure]time.Time)},
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
			AllowPermanentPush: true, CredStorage: true, PermanentBackends: map[string]bool{"imapidle": true, "mailnotify": true},
			Stores: map[string]string{"demo": "imapidle", "sleepy": "mailnotify"},
		},
		Stores:       map[string]*mailv1.MailStore{"demo": {Name: "demo"}, "sleepy": {Name: "sleepy"}},
		MasterLogins: map[string]string{"demo": "{user}@{context}", "sleepy": "{context}/{user}"},
		Shards:       4, Store: w.store, Vault: w.vault, Cluster: w.cluster, Scheduler: w.scheduler, Workers: w.workers,
		Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// login is what the vault has of the user's login that is in force.
func (w *world) login(t *testing.T, user registry.UserID) string {
	t.Helper()
	u, err := w.store.User(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return w.vault.sealed[user.String()+" "+registry.MailAccount(u.Credential.Slot)]
}

// secret is what the vault has of the signing secret that is in force.
func (w *world) secret(t *testing.T, id string) string {
	t.Helper()
	sub, err := w.store.Subscription(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return w.vault.sealed[sub.UserID.String()+" "+registry.WebhookAccount(id, sub.Signing.Slot)]
}

// headers is what the vault has of the headers that are in force; empty when there are none.
func (w *world) headers(t *testing.T, id string) string {
	t.Helper()
	sub, err := w.store.Subscription(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return w.vault.sealed[sub.UserID.String()+" "+registry.HeadersAccount(id, sub.Headers.Slot)]
}

func request() Request {
	return Request{
		User: anna, Client: "mobile", Device: "d1", Topics: []string{"mail:new"},
		Account: &Account{Store: "demo", Login: "anna", Password: secret.New("pw")},
		Target:  registry.Target{Transport: registry.Webhook, Address: "https://hook.example/x"},
	}
}

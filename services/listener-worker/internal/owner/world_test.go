// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/owner"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	backend = "imapidle"
	shards  = 1024
)

var errDown = errors.New("down")

// fakeMember is one membership.
type fakeMember struct {
	id      string
	lost    chan struct{}
	wants   chan *clusterv1.Want
	world   *fakeWorld
	left    bool
	reports []*clusterv1.Have
	drains  bool // what the leader sees

	right   hold.Right
	changed chan struct{}
}

func (m *fakeMember) ID() string                                   { return m.id }
func (m *fakeMember) Lost() <-chan struct{}                        { return m.lost }
func (m *fakeMember) RightChanged() <-chan struct{}                { return m.changed }
func (m *fakeMember) Wants(context.Context) <-chan *clusterv1.Want { return m.wants }

func (m *fakeMember) Right() hold.Right {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	return m.right
}

func (m *fakeMember) Until() time.Time { return m.world.until }

// setRight makes the right to act current or doubtful.
func (m *fakeMember) setRight(right hold.Right) {
	m.world.set(func(*fakeWorld) { m.right = right })
	m.changed <- struct{}{}
}

func (m *fakeMember) Report(_ context.Context, have *clusterv1.Have) error {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.reports = append(m.reports, proto.CloneOf(have))
	return nil
}

func (m *fakeMember) Drain(_ context.Context, draining bool) error {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.world.drainErr != nil {
		return m.world.drainErr
	}
	m.drains = draining
	return nil
}

func (m *fakeMember) Leave(context.Context) error {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.left = true
	return nil
}

// fakeWorld is everything around an owner. Its fields are guarded by mu.
type fakeWorld struct {
	t         *testing.T
	mu        sync.Mutex
	owner     *owner.Owner
	members   []*fakeMember
	joinErr   error
	drainErr  error
	relief    bool // others could take shards
	until     time.Time
	log       bytes.Buffer
	changes   chan hold.Changed
	users     map[uint32][]*registryv1.Mailbox // by shard
	store     *mailv1.MailStore
	broken    map[uint32]bool // shards that cannot be listed
	refuse    map[hold.Claim]bool
	opened    map[uint32]uint64
	lists     int
	asked     []userid.User // by name
	listsAll  bool          // whoever is asked for, as an earlier release does
	suspended []string
	suspendUp bool
	policy    string

	listening  map[mailbox.User]mailbox.Listening
	delivering map[mailbox.User]hold.Claim
	drainTakes time.Duration
	drained    int
	dropped    int
}

func (w *fakeWorld) Join(_ context.Context, draining bool) (owner.Member, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.joinErr != nil {
		return nil, w.joinErr
	}
	m := &fakeMember{
		id: fmt.Sprintf("worker-%d", len(w.members)+1), lost: make(chan struct{}), wants: make(chan *clusterv1.Want, 1), world: w,
		drains: draining, changed: make(chan struct{}, 1),
	}
	w.members = append(w.members, m)
	return m, nil
}

func (w *fakeWorld) Relief(context.Context, string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.relief, nil
}

func (w *fakeWorld) Changes(ctx context.Context, _ string) <-chan hold.Changed {
	out := make(chan hold.Changed)
	go func() {
		defer close(out)
		for {
			select {
			case changed := <-w.changes:
				out <- changed
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (w *fakeWorld) OpenEpoch(_ context.Context, claims []hold.Claim) ([]hold.Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refused []hold.Claim
	for _, claim := range claims {
		if w.refuse[claim] {
			refused = append(refused, claim)
			continue
		}
		w.opened[claim.Shard] = claim.Epoch
	}
	return refused, nil
}

func (w *fakeWorld) ListShards(_ context.Context, claims []hold.Claim, users []userid.User) (owner.Listing, error) {
	<-time.After(time.Millisecond) // simulated: a call takes its time
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists++
	w.asked = append(w.asked, users...)
	listing := owner.Listing{Stores: map[string]*mailv1.MailStore{"main": w.store}}
	for _, claim := range claims {
		if w.broken[claim.Shard] {
			return owner.Listing{}, errDown
		}
		for _, mailbox := range w.users[claim.Shard] {
			user := userid.User{Context: mailbox.GetUser().GetContextId(), ID: mailbox.GetUser().GetUserId()}
			if w.listsAll || len(users) == 0 || slices.Contains(users, user) {
				listing.Mailboxes = append(listing.Mailboxes, proto.CloneOf(mailbox))
			}
		}
	}
	return listing, nil
}

func (w *fakeWorld) Policy(context.Context) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.policy, nil
}

func (w *fakeWorld) SuspendCredential(_ context.Context, claim hold.Claim, user mailbox.User, version uint64, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.suspendUp {
		return errDown
	}
	w.suspended = append(w.suspended, fmt.Sprintf("%d %s %d %s", claim.Epoch, user.ID, version, reason))
	return nil
}

// listeners and delivery are two faces of the world whose method names collide.
type (
	listeners struct{ *fakeWorld }
	delivery  struct{ *fakeWorld }
)

func (l listeners) Put(of mailbox.Listening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.delivering[of.User]; !known {
		panic("a listener that delivery does not know")
	}
	l.listening[of.User] = of
}

func (l listeners) Remove(user mailbox.User) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.listening, user)
}

func (l listeners) Dismiss(user mailbox.User) { l.Remove(user) }

func (l listeners) RemoveAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.listening)
}

func (d delivery) Put(claim hold.Claim, user mailbox.User, _ string, _ []*transport.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opened[claim.Shard] != claim.Epoch {
		panic("delivery under an epoch that is not open")
	}
	d.delivering[user] = claim
}

func (d delivery) Remove(user mailbox.User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.delivering, user)
}

func (d delivery) Drop(claims []hold.Claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped += len(claims)
	d.forget(claims)
}

func (d delivery) Drain(ctx context.Context, claims []hold.Claim) error {
	select {
	case <-time.After(d.drainTakes):
	case <-ctx.Done():
		return ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drained += len(claims)
	d.forget(claims)
	return nil
}

func (d delivery) forget(claims []hold.Claim) {
	for user, claim := range d.delivering {
		if slices.Contains(claims, claim) {
			delete(d.delivering, user)
		}
	}
}

// add registers a user and returns the shard.
func (w *fakeWorld) add(id string) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	number := shard.Of("1", id, shards)
	w.users[number] = append(w.users[number], &registryv1.Mailbox{
		User: &mailv1.User{ContextId: "1", UserId: id}, MailStore: "main", Permanent: true, CredentialVersion: 1,
	})
	return number
}

// touch tells that something has changed of users of a shard, or of any of them.
func (w *fakeWorld) touch(number uint32, ids ...string) {
	changed := hold.Changed{Shard: shard.ID{Backend: backend, Number: number}}
	for _, id := range ids {
		changed.Change.Users = append(changed.Change.Users, userid.User{Context: "1", ID: id})
	}
	w.changes <- changed
}

func (w *fakeWorld) set(change func(w *fakeWorld)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// member is the newest membership.
func (w *fakeWorld) member() *fakeMember {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.members[len(w.members)-1]
}

// want tells the newest member to run the shards.
func (w *fakeWorld) want(generation, epoch uint64, numbers ...uint32) {
	set := &mailv1.ShardSet{Backend: backend, Shards: numbers}
	for range numbers {
		set.Epochs = append(set.Epochs, epoch)
	}
	w.member().wants <- &clusterv1.Want{Generation: generation, Granted: []*mailv1.ShardSet{set}}
}

// report is the newest report: its generation and how many shards it holds.
func (w *fakeWorld) report() (generation uint64, held int) {
	m := w.member()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(m.reports) == 0 {
		return 0, 0
	}
	last := m.reports[len(m.reports)-1]
	for _, set := range last.GetHeld() {
		held += len(set.GetShards())
	}
	return last.GetGeneration(), held
}

func (w *fakeWorld) runs() (listening, delivering int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.listening), len(w.delivering)
}

func every() []uint32 {
	var out []uint32
	for n := range uint32(shards) {
		out = append(out, n)
	}
	return out
}

// inWorld runs a test with a running owner, in simulated time.
func inWorld(t *testing.T, test func(w *fakeWorld, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWorld{
			t: t, until: time.Now().Add(time.Hour),
			changes: make(chan hold.Changed), users: make(map[uint32][]*registryv1.Mailbox), store: &mailv1.MailStore{Name: "main"},
			broken: make(map[uint32]bool), refuse: make(map[hold.Claim]bool), opened: make(map[uint32]uint64),
			listening: make(map[mailbox.User]mailbox.Listening), delivering: make(map[mailbox.User]hold.Claim), suspendUp: true,
		}
		w.owner = owner.New(owner.Config{Backends: []string{backend}, Shards: shards, Log: slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, w, w, listeners{w}, delivery{w})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.owner.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		synctest.Wait()
		test(w, stop)
		stop()
	})
}

// pass lets time go by and everything come to rest.
func pass(d time.Duration) {
	<-time.After(d) // simulated
	synctest.Wait()
}

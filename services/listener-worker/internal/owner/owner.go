// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package owner keeps what this worker runs in step with what the scheduler wants
// it to run: it is a member of the cluster, and a thin loop around package hold, which
// decides. It opens the epochs of the shards it is granted, loads their mailboxes and
// gives them to the listeners and to delivery.
//
// Invariants: what runs is what the decisions of package hold say, carried out in
// their order; while the right to act is in doubt everything is kept, as delivery then
// asks the registry each time; when the membership is lost everything stops at once
// and a new one begins under a fresh id.
package owner

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/backoff"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/userid"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Cluster is where a worker becomes a member.
type Cluster interface {
	// Join registers this worker, as one that drains or not.
	Join(ctx context.Context, draining bool) (Member, error)
	// Relief tells whether somebody leads and another live worker, which does not
	// drain itself, is capable of what the one with the id is.
	Relief(ctx context.Context, id string) (bool, error)
	// Changes brings what has changed of a backend's shards.
	Changes(ctx context.Context, backend string) <-chan hold.Changed
}

// Registration is what a membership rests on.
type Registration interface {
	ID() string
	// Right tells whether the right to act is current, by the clock at this moment.
	// RightChanged hints that it is another now, and Until is when it ends or ended.
	Right() hold.Right
	RightChanged() <-chan struct{}
	Until() time.Time
	// Lost is closed when the registration is over, for whatever reason.
	Lost() <-chan struct{}
}

// Member is one membership.
type Member interface {
	Registration

	Wants(ctx context.Context) <-chan *clusterv1.Want
	Report(ctx context.Context, have *clusterv1.Have) error
	// Drain asks for the shards to be taken away, or takes that back.
	Drain(ctx context.Context, draining bool) error
	Leave(ctx context.Context) error
}

// Registry knows the mailboxes.
type Registry interface {
	Policies
	// OpenEpoch returns the claims that were refused.
	OpenEpoch(ctx context.Context, claims []hold.Claim) ([]hold.Claim, error)
	// ListShards lists the mailboxes of shards of one backend: those of the users at least,
	// or all when there are none.
	ListShards(ctx context.Context, claims []hold.Claim, users []userid.User) (Listing, error)
	SuspendCredential(ctx context.Context, claim hold.Claim, user mailbox.User, version uint64, reason string) error
}

// Listing is what the registry holds of some shards.
type Listing struct {
	Mailboxes []*registryv1.Mailbox
	Stores    map[string]*mailv1.MailStore
	Refused   []hold.Claim // left out: a newer epoch is open
}

// Listeners notice new mail; see [listen.Loop].
type Listeners interface {
	Put(of mailbox.Listening)
	Remove(user mailbox.User)
	// Dismiss is Remove for a listener that nobody wants any more.
	Dismiss(user mailbox.User)
	RemoveAll()
}

// Delivery pushes it; see [deliver.Loop].
type Delivery interface {
	Put(claim hold.Claim, user mailbox.User, store string, subscriptions []*transport.Subscription)
	Remove(user mailbox.User)
	Drop(claims []hold.Claim)
	Drain(ctx context.Context, claims []hold.Claim) error
}

// Config sets up an Owner. What is zero gets the default named.
type Config struct {
	Log      *slog.Logger // nil: no log
	Backends []string
	Shards   uint32 // per backend
	// ReloadMin and ReloadMax bound the pause between two readings of everything
	// (60 s, 5 min): changes are hints, the registry is the truth.
	ReloadMin, ReloadMax time.Duration
	// DrainFor is how long requests in flight may take when a shard is given up, and
	// how long giving up all of them may take at the end (10 s).
	DrainFor time.Duration
}

const (
	leastReload     = time.Minute
	mostReload      = 5 * time.Minute
	defaultDrainFor = 10 * time.Second
	leaveTimeout    = 3 * time.Second
)

// Owner runs shards. Its methods may be called from any goroutine.
type Owner struct {
	cfg       Config
	cluster   Cluster
	registry  Registry
	listeners Listeners
	delivery  Delivery

	now  atomic.Pointer[Member] // the membership; nil without one
	will will

	mu         sync.Mutex
	membership *membership // nil without one

	loading, reporting, suspending *condition.Condition // what is tried again until it works
}

// New makes an owner that does nothing until Run.
func New(cfg Config, cluster Cluster, registry Registry, listeners Listeners, delivery Delivery) *Owner {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ReloadMin == 0 {
		cfg.ReloadMin = leastReload
	}
	if cfg.ReloadMax == 0 {
		cfg.ReloadMax = max(mostReload, cfg.ReloadMin)
	}
	if cfg.DrainFor == 0 {
		cfg.DrainFor = defaultDrainFor
	}
	return &Owner{
		cfg: cfg, cluster: cluster, registry: registry, listeners: listeners, delivery: delivery,
		loading:    condition.NewShared(cfg.Log, slog.LevelWarn, "shards could not be loaded"),
		reporting:  condition.New(cfg.Log, slog.LevelWarn, "what is run could not be reported"),
		suspending: condition.New(cfg.Log, slog.LevelWarn, "a refused credential could not be marked"),
	}
}

// ID is the id this worker is a member under, empty while it is none.
func (o *Owner) ID() string {
	if member := o.now.Load(); member != nil {
		return (*member).ID()
	}
	return ""
}

// Current tells whether the right to act is current, by the clock at this moment.
func (o *Owner) Current() bool {
	member := o.now.Load()
	return member != nil && (*member).Right() == hold.Current
}

// Right is the right to act, by the clock at this moment; member is false while this worker
// is no member of the cluster and has none.
func (o *Owner) Right() (right hold.Right, member bool) {
	if now := o.now.Load(); now != nil {
		return (*now).Right(), true
	}
	return hold.InDoubt, false
}

// InDoubt tells whether the right to act is in doubt at this moment. Whoever is no member
// has none.
func (o *Owner) InDoubt() bool {
	right, member := o.Right()
	return member && right == hold.InDoubt
}

var errNoMember = errors.New("not a member of the cluster")

// Ready tells whether this worker is a member of the cluster.
func (o *Owner) Ready(context.Context) error {
	if o.ID() == "" {
		return errNoMember
	}
	return nil
}

// Run is a member of the cluster until ctx ends, then gives everything up in an
// orderly way. The same reason why it cannot be is logged once. It is called once.
func (o *Owner) Run(ctx context.Context) error {
	for failures, refused := 0, ""; ctx.Err() == nil; {
		member, err := o.join(ctx)
		if err != nil {
			failures++
			if err.Error() != refused {
				o.cfg.Log.Log(ctx, gravity(err), "the cluster could not be joined", "error", err)
			}
			refused = err.Error()
			pause(ctx, away(failures))
			continue
		}
		failures, refused = 0, ""
		o.serve(ctx, member)
		o.forget()
	}
	return nil
}

// gravity tells what somebody has to look after from what passes by itself.
func gravity(err error) slog.Level {
	if fault.KindOf(err) == fault.Precondition {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// serve runs one membership.
func (o *Owner) serve(ctx context.Context, member Member) {
	o.now.Store(&member)
	defer o.now.Store(nil)
	o.cfg.Log.InfoContext(ctx, "worker joined", "worker", member.ID())
	m := newMembership(o, member)
	o.setMembership(m)
	defer o.setMembership(nil)
	m.run(ctx)
}

func (o *Owner) setMembership(m *membership) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.membership = m
}

// post hands an event to the membership there is.
func (o *Owner) post(event func(m *membership)) {
	o.mu.Lock()
	m := o.membership
	o.mu.Unlock()
	if m != nil {
		m.loop.Post(func() { event(m) })
	}
}

// Refused takes in claims that the registry has refused to delivery.
func (o *Owner) Refused(claims []hold.Claim) {
	o.post(func(m *membership) { m.step(hold.Refused{Claims: claims}) })
}

// Suspended takes in that a mail store refused a credential; see [listen.Sink].
func (o *Owner) Suspended(user mailbox.User, version uint64, reason string) {
	o.post(func(m *membership) { m.suspend(suspension{user, version, reason}) })
}

// away is how long to wait after a number of failures in a row.
func away(failures int) time.Duration {
	return backoff.Joins().Half(failures-1, rand.Float64())
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

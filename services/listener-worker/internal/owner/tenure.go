// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/listen"
)

// tenure is what one membership holds. One goroutine, run, owns its state.
type tenure struct {
	*Owner
	member Member
	ctx    context.Context //nolint:containedctx // the life of the membership, for what it starts
	work   sync.WaitGroup

	mu    sync.Mutex
	queue []func()
	wake  chan struct{}

	want    *clusterv1.Want // the newest; nil before the first
	shards  map[place]*shard
	fenced  map[place]uint64 // epochs the registry has refused
	stores  map[string]*mailv1.MailStore
	loads   int // calls for shards in flight
	reports reporter
	suspensions
}

// place is a shard of a backend.
type place struct {
	backend string
	number  uint32
}

// shard is what is known of a shard that this worker runs, or is about to, or has
// yet to let go of.
type shard struct {
	claim    deliver.Claim
	phase    phase
	loading  bool // a call for it is in flight
	tried    bool // a call for it has ended
	changed  bool // it must be read again
	failures int
	notUntil time.Time // after a failure
	boxes    map[listen.User]mailbox
}

type phase int

const (
	opening   phase = iota // its epoch is not open yet, or its mailboxes not read
	running                // its mailboxes are listened to
	draining               // requests in flight end, cursors are stored
	abandoned              // no more wanted while it was opening
)

func placeOf(claim deliver.Claim) place { return place{claim.Backend, claim.Shard} }

func newTenure(o *Owner, member Member) *tenure {
	return &tenure{
		Owner: o, member: member,
		wake:   make(chan struct{}, 1),
		shards: make(map[place]*shard),
		fenced: make(map[place]uint64),
		stores: make(map[string]*mailv1.MailStore),
	}
}

// run serves until the membership is lost or ctx ends.
func (t *tenure) run(ctx context.Context) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer t.work.Wait()
	defer cancel()
	t.ctx = life
	wants := t.member.Wants(life)
	for _, backend := range t.cfg.Backends {
		t.watch(backend)
	}
	reload := time.NewTimer(t.untilReload())
	defer reload.Stop()
	for {
		select {
		case <-t.member.Lost():
			t.abandon() //nolint:contextcheck // t.ctx outlives ctx, so that the end is orderly
			return
		case <-ctx.Done():
			t.end(wants) //nolint:contextcheck // likewise
			return
		case want, open := <-wants:
			if !open {
				wants = nil // the loss of the membership follows
			}
			t.newWant(want)
		case <-t.wake:
			t.takeEvents()
		case <-reload.C:
			t.reloadAll()
			reload.Reset(t.untilReload())
		}
		t.reconcile() //nolint:contextcheck // likewise
	}
}

func (t *tenure) untilReload() time.Duration {
	return t.cfg.ReloadMin + rand.N(t.cfg.ReloadMax-t.cfg.ReloadMin+1)
}

// post hands an event to the membership's goroutine; it never blocks.
func (t *tenure) post(event func()) {
	t.mu.Lock()
	t.queue = append(t.queue, event)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *tenure) takeEvents() {
	t.mu.Lock()
	events := t.queue
	t.queue = nil
	t.mu.Unlock()
	for _, event := range events {
		event()
	}
}

// watch takes in which of a backend's shards have changed.
func (t *tenure) watch(backend string) {
	changes := t.cluster.Changes(t.ctx, backend)
	t.work.Go(func() {
		for number := range changes {
			t.post(func() {
				if s := t.shards[place{backend, number}]; s != nil {
					s.changed = true
				}
			})
		}
	})
}

// reloadAll has every shard read again.
func (t *tenure) reloadAll() {
	for _, s := range t.shards {
		s.changed = true
	}
}

// claims are the claims of the shards in one of the phases.
func (t *tenure) claims(phases ...phase) []deliver.Claim {
	var out []deliver.Claim
	for _, s := range t.shards {
		for _, phase := range phases {
			if s.phase == phase {
				out = append(out, s.claim)
			}
		}
	}
	return out
}

// lost tells whether the membership has ended.
func (t *tenure) lost() bool {
	select {
	case <-t.member.Lost():
		return true
	default:
		return false
	}
}

// abandon stops everything at once: the right to act has ended.
func (t *tenure) abandon() {
	claims := t.claims(running, draining)
	t.cfg.Log.WarnContext(t.ctx, "membership was lost", "worker", t.member.ID(), "shards", len(claims))
	t.listeners.RemoveAll()
	t.delivery.Drop(claims)
	t.leave()
}

// leave ends the registration, also a lost one, whose connection is still there.
func (t *tenure) leave() {
	ctx, cancel := context.WithTimeout(t.ctx, leaveTimeout)
	defer cancel()
	if err := t.member.Leave(ctx); err != nil {
		t.cfg.Log.WarnContext(ctx, "the cluster was not left in an orderly way", "error", err)
	}
}

// stop gives everything up in an orderly way and leaves the cluster.
func (t *tenure) stop(deadline time.Time) {
	claims := t.claims(running, draining)
	t.cfg.Log.InfoContext(t.ctx, "worker leaves", "worker", t.member.ID(), "shards", len(claims))
	t.listeners.RemoveAll()
	if !t.drain(claims, time.Until(deadline)) {
		t.delivery.Drop(claims)
		t.leave()
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, leaveTimeout)
	defer cancel()
	if err := t.member.Report(ctx, t.have(nil)); err != nil {
		t.cfg.Log.WarnContext(ctx, "the last report could not be made", "error", err)
	}
	t.leave()
}

// drain waits until nothing runs for the claims any more, or the time for it is up.
// It returns false when the membership was lost meanwhile.
func (t *tenure) drain(claims []deliver.Claim, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(t.ctx, limit)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- t.delivery.Drain(ctx, claims) }()
	select {
	case err := <-drained:
		if err != nil {
			t.cfg.Log.WarnContext(ctx, "not everything in flight could be finished", "error", err)
		}
		return true
	case <-t.member.Lost():
		return false
	}
}

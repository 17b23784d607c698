// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// tenure is what lasts for one membership. One goroutine, run, owns its state.
type tenure struct {
	*Owner
	member Member
	ctx    context.Context //nolint:containedctx // the life of the membership, for what it starts
	work   sync.WaitGroup

	mu    sync.Mutex
	queue []func()
	wake  chan struct{}

	machine *hold.Machine // decides
	right   hold.Right    // as the machine knows it
	wants   <-chan *clusterv1.Want
	reload  *time.Timer // when everything is to be read again
	due     *time.Timer // when the machine wants to be stepped
	shards  map[place]*shard
	stores  map[string]*mailv1.MailStore
	suspensions
}

func newTenure(o *Owner, member Member) *tenure {
	return &tenure{
		Owner: o, member: member,
		wake:    make(chan struct{}, 1),
		machine: hold.New(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
		shards:  make(map[place]*shard),
		stores:  make(map[string]*mailv1.MailStore),
	}
}

// run serves until the membership is lost or ctx ends.
func (t *tenure) run(ctx context.Context) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer t.work.Wait()
	defer cancel()
	t.ctx = life
	t.wants = t.member.Wants(life)
	for _, backend := range t.cfg.Backends {
		t.watch(backend)
	}
	t.reload, t.due = time.NewTimer(t.untilReload()), time.NewTimer(time.Hour)
	defer t.reload.Stop()
	defer t.due.Stop()
	for t.turn(ctx.Done()) { //nolint:contextcheck // t.ctx outlives ctx, so that the end is orderly
	}
	if t.lost() || !t.end() { //nolint:contextcheck // likewise
		t.abandon() //nolint:contextcheck // likewise
	}
}

// turn takes in what comes first. It returns false when done is closed or the
// membership is lost.
func (t *tenure) turn(done <-chan struct{}) bool {
	select {
	case <-t.member.Lost():
		return false
	case <-done:
		return false
	case want, open := <-t.wants:
		if !open {
			t.wants = nil // the loss of the membership follows
		}
		t.step(hold.Wanted{Want: want})
	case <-t.member.RightChanged():
		t.step(hold.Tick{}) // each step looks
	case <-t.wake:
		t.takeEvents()
	case <-t.reload.C:
		t.step(hold.Stale{})
		t.reload.Reset(t.untilReload())
	case <-t.due.C:
		t.step(hold.Tick{})
	}
	return true
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
			t.post(func() { t.step(hold.Changed{Backend: backend, Shard: number}) })
		}
	})
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

// abandon stops everything at once: the registration is over, others have the shards.
func (t *tenure) abandon() {
	claims := t.machine.Acting()
	t.cfg.Log.WarnContext(t.ctx, "membership was lost", "worker", t.member.ID(), "shards", len(claims))
	t.listeners.RemoveAll()
	t.delivery.Drop(claims)
	t.step(hold.Over{})
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

// stop gives everything up in an orderly way and leaves the cluster. It returns false
// when the membership was lost meanwhile.
func (t *tenure) stop(deadline time.Time) bool {
	claims := t.machine.Acting()
	t.cfg.Log.InfoContext(t.ctx, "worker leaves", "worker", t.member.ID(), "shards", len(claims))
	t.listeners.RemoveAll()
	if !t.drain(claims, time.Until(deadline)) {
		return false
	}
	farewell := t.machine.Farewell()
	t.step(hold.Over{})
	ctx, cancel := context.WithTimeout(t.ctx, leaveTimeout)
	defer cancel()
	if err := t.member.Report(ctx, farewell); err != nil {
		t.cfg.Log.WarnContext(ctx, "the last report could not be made", "error", err)
	}
	t.leave()
	return true
}

// drain waits until nothing runs for the claims any more, or the time for it is up.
// It returns false when the membership was lost meanwhile.
func (t *tenure) drain(claims []hold.Claim, limit time.Duration) bool {
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

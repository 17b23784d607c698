// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"container/heap"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/moment"
)

const (
	defaultReconcilePerSecond = 25
	// defaultReconcileAfter keeps few mailboxes from being asked again and again.
	defaultReconcileAfter = 10 * time.Second
	// turnAtMost is how many mailboxes are asked for at once.
	turnAtMost = 50
	// recheck is when a listener that waits for hints looks by itself if its turn has not
	// come: the turns are of a store's size, this is not.
	recheck = 12 * time.Hour
	// ageEvery is how often the age of the proofs is told.
	ageEvery = 5 * time.Second
)

// reconciler has listeners that wait for hints look where their mailboxes end, in case
// that hints were lost: so many in a second for each mail store, those first whose last
// proof is oldest. Its methods run on the loop.
type reconciler struct {
	metrics *metrics
	after   time.Duration
	stores  map[string]*waiters
	wakeAt  time.Time // zero: nothing waits
	hinted  int       // listeners that live by hints, whatever they are doing
	ageAt   time.Time
}

// waiters are a mail store's listeners that wait for hints.
type waiters struct {
	heap proofs
	next moment.Moment // when the next ones may have their turn
}

// place is where a listener stands among them.
type place struct {
	among *waiters
	index int
	proof moment.Moment
}

func newReconciler(m *metrics, after time.Duration) *reconciler {
	return &reconciler{metrics: m, after: after, stores: make(map[string]*waiters)}
}

// lives takes in whether a listener lives by hints.
func (c *reconciler) lives(r *running, hinted bool) {
	if r.hinted == hinted {
		return
	}
	r.hinted = hinted
	if hinted {
		c.hinted++
		return
	}
	if c.hinted--; c.hinted == 0 {
		c.metrics.proofAge.Set(0)
	}
}

// moved takes in that a listener may have begun to wait, or ended to.
func (c *reconciler) moved(r *running, before, after mailv1.ListenerState) {
	const waiting = mailv1.ListenerState_LISTENER_STATE_WAITING
	switch {
	case before == after:
	case before == waiting:
		c.leave(r)
	case after == waiting:
		c.enter(r)
	}
}

func (c *reconciler) enter(r *running) {
	store := r.storeKey()
	w := c.stores[store]
	if w == nil {
		w = &waiters{}
		c.stores[store] = w
	}
	r.waits = &place{among: w, proof: r.machine.ProvenAt()}
	heap.Push(&w.heap, r)
}

func (c *reconciler) leave(r *running) {
	if r.waits != nil {
		heap.Remove(&r.waits.among.heap, r.waits.index)
		r.waits = nil
	}
}

// reconcile gives listeners their turn whose time has come.
func (l *Loop) reconcile(now time.Time) {
	c := l.reconciler
	c.wakeAt = time.Time{}
	for store, w := range c.stores {
		if s := l.sites[store]; s != nil && s.Down() && s.Awaiting() > 0 {
			continue // who waits for it finds out when it is worth while
		}
		for _, r := range w.turn(moment.Of(now), c.after, l.connects.workers) {
			l.metrics.reconciled.Inc()
			l.step(r, machine.Reconcile{})
		}
		if len(w.heap) > 0 {
			c.wakeAt = loop.Sooner(c.wakeAt, w.due(c.after).Time(now))
		} else if w.next < moment.Of(now) {
			delete(c.stores, store)
		}
	}
	l.tellAge(now)
}

// due is when the next listener has its turn.
func (w *waiters) due(after time.Duration) moment.Moment {
	return max(w.heap[0].waits.proof.Add(after), w.next)
}

// turn are those whose turn it is.
func (w *waiters) turn(now moment.Moment, after time.Duration, workers int) []*running {
	if len(w.heap) == 0 || now < w.due(after) {
		return nil
	}
	rate := int(cmp.Or(w.heap[0].mailbox.Store.GetReconcilePerSecond(), defaultReconcilePerSecond))
	most := min(max(rate/workers, 1), turnAtMost)
	w.next = now.Add(time.Duration(most*workers) * time.Second / time.Duration(rate))
	var out []*running
	for len(w.heap) > 0 && len(out) < most && now >= w.heap[0].waits.proof.Add(after) {
		r, _ := heap.Pop(&w.heap).(*running)
		r.waits = nil
		out = append(out, r)
	}
	return out
}

// tellAge tells how old the oldest proof is, of all that live by hints, whatever they are
// doing now.
func (l *Loop) tellAge(now time.Time) {
	c := l.reconciler
	if c.hinted == 0 {
		return
	}
	if !now.Before(c.ageAt) {
		c.ageAt = now.Add(ageEvery)
		oldest := moment.Of(now)
		for _, r := range l.listed {
			if r.hinted {
				oldest = min(oldest, r.machine.ProvenAt())
			}
		}
		c.metrics.proofAge.Set(moment.Of(now).Sub(oldest).Seconds())
	}
	c.wakeAt = loop.Sooner(c.wakeAt, c.ageAt)
}

// proofs is a heap of listeners, the one with the oldest proof first.
type proofs []*running

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (p proofs) Len() int           { return len(p) }
func (p proofs) Less(i, j int) bool { return p[i].waits.proof < p[j].waits.proof }
func (p proofs) Swap(i, j int) {
	p[i], p[j] = p[j], p[i]
	p[i].waits.index, p[j].waits.index = i, j
}

// Push implements [heap.Interface].
func (p *proofs) Push(x any) {
	r, _ := x.(*running)
	r.waits.index = len(*p)
	*p = append(*p, r)
}

// Pop implements [heap.Interface].
func (p *proofs) Pop() any {
	last := len(*p) - 1
	r := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return r
}

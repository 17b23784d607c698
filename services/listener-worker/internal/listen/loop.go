// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"sync"
	"time"

	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/listen/outage"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Loop runs listeners. Its methods may be called from any goroutine, the sink's
// included; those that change something take effect in the order of their calls,
// soon after they return.
type Loop struct {
	cfg     Config
	creds   Credentials
	sink    Sink
	metrics *metrics
	loop    *loop.Loop

	// Of the loop's goroutine alone.
	timers     loop.Timers
	connects   *pool
	operations *pool
	masters    masters
	reconciler *reconciler
	sites      map[string]*site // by what their operations share a limit with
	pauses     *outage.Pauses
	shared     map[intervals]*machine.Settings // of the listeners, by their mail stores'
	countAt    time.Time                       // when the workers may be counted again
	uncounted  bool                            // the last count failed
	ctx        context.Context                 // ends with Run, for the tasks of the loop

	mu      sync.RWMutex // guards listed and the machines in it; only the loop writes
	listed  map[mailbox.User]*running
	stopped bool

	hintMu sync.Mutex                    // guards hints
	hints  map[mailbox.User]mailbox.Hint // that listeners have not taken yet
}

// New makes a loop that does nothing until Run.
func New(cfg Config, creds Credentials, sink Sink) *Loop {
	cfg = cfg.withDefaults()
	l := &Loop{
		cfg: cfg, creds: creds, sink: sink,
		metrics: newMetrics(cfg.Metrics),
		loop:    loop.New(),
		shared:  make(map[intervals]*machine.Settings),
		sites:   make(map[string]*site),
		pauses:  pausesOf(cfg.Tuning),
		listed:  make(map[mailbox.User]*running),
		hints:   make(map[mailbox.User]mailbox.Hint),
	}
	l.masters = newMasters(cfg.Tuning)
	l.connects = newPool(cfg.Connects, l.loop)
	l.operations = newPool(operationsPerLoop, l.loop)
	l.reconciler = newReconciler(l.metrics, cfg.ReconcileAfter)
	return l
}

// Run runs the listeners until ctx ends, then closes all connections and waits
// until nothing of them is left. It may be called once.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.ctx = ctx
	l.loop.Run(ctx, l.round)
	l.stop()
	return nil
}

// round does what is due and tells when something is next.
func (l *Loop) round(now time.Time) time.Time {
	l.fire(now)
	next := l.tend(now)
	l.reconcile(now)
	l.connects.start()
	l.count(now)
	l.metrics.waiting.Set(float64(l.connects.waiting))
	for _, at := range []time.Time{l.connects.wakeAt, l.timers.Next(now), l.reconciler.wakeAt} {
		next = loop.Sooner(next, at)
	}
	return next
}

func (l *Loop) fire(now time.Time) {
	for of := l.timers.PopDue(now); of != nil; of = l.timers.PopDue(now) {
		if r, ok := of.(*running); ok {
			l.step(r, machine.Timer{})
		}
	}
}

// stop gives up all listeners and waits for their tasks; what those still bring
// is taken in, so that no connection stays open.
func (l *Loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.connects.abandon()
	l.operations.abandon()
	l.removeAll()
	l.loop.Wait()
	l.loop.Drain()
}

// Put adds a mailbox or updates it: a changed store reconnects, a grown
// credential version resumes a suspended listener.
func (l *Loop) Put(m mailbox.Listening) { l.loop.Post(func() { l.put(m) }) }

// Remove stops a user's listener, which goes on elsewhere. The sink may hear of the user
// until then.
func (l *Loop) Remove(u mailbox.User) { l.end(u, false) }

// Dismiss stops a user's listener that nobody wants any more, and takes back what was left
// at the mail store for it.
func (l *Loop) Dismiss(u mailbox.User) { l.end(u, true) }

func (l *Loop) end(u mailbox.User, unwanted bool) {
	l.loop.Post(func() {
		if r := l.listed[u]; r != nil {
			l.remove(r, unwanted)
		}
	})
}

// RemoveAll stops all listeners.
func (l *Loop) RemoveAll() { l.loop.Post(l.removeAll) }

// Fetch asks for the mails from a UID on; Sink.Fetched answers, with an error at
// once where the mailbox is not open. Calls that come before the reading begins are one,
// from the lowest UID and in the most detail asked for. A listener that is removed never
// answers.
func (l *Loop) Fetch(u mailbox.User, from uint32, detail mailbox.Detail) {
	l.loop.Post(func() {
		if r := l.listed[u]; r != nil {
			l.step(r, machine.FetchWanted{From: from, Detail: detail})
			return
		}
		l.sink.Fetched(mailbox.Read{User: u, From: from, Err: errNoListener})
	})
}

// Hint tells a user's listener that a folder may have changed. It does nothing, and says
// so, where the worker has none: whoever runs it next looks by itself. What comes before
// the listener has taken the last hint is one with that.
func (l *Loop) Hint(u mailbox.User, hint mailbox.Hint) (known bool) {
	l.mu.RLock()
	_, known = l.listed[u]
	l.mu.RUnlock()
	if !known {
		return false
	}
	l.hintMu.Lock()
	defer l.hintMu.Unlock()
	before, waits := l.hints[u]
	if waits {
		l.hints[u] = before.Merge(hint)
		return true
	}
	l.hints[u] = hint
	l.loop.Post(func() { l.hinted(u) })
	return true
}

// hinted hands on the hint that waits for a user's listener.
func (l *Loop) hinted(u mailbox.User) {
	l.hintMu.Lock()
	hint := l.hints[u]
	delete(l.hints, u)
	l.hintMu.Unlock()
	if r := l.listed[u]; r != nil {
		l.step(r, machine.Hinted{Hint: hint})
		l.hintedAway(r)
	}
}

// Status reports the listeners of the users that have one.
func (l *Loop) Status(users []mailbox.User) []Status {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var all []Status
	for _, u := range users {
		if r := l.listed[u]; r != nil {
			all = append(all, r.status())
		}
	}
	return all
}

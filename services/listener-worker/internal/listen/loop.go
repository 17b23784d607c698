// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"sync"
	"time"

	"mailpush.internal/services/listener-worker/internal/listener"
)

// Loop runs listeners. Its methods may be called from any goroutine, the sink's
// included; those that change something take effect in the order of their calls,
// soon after they return.
type Loop struct {
	cfg     Config
	creds   Credentials
	sink    Sink
	metrics *metrics
	inbox   *inbox

	// Of the loop's goroutine alone.
	timers     timers
	connects   *pool
	operations *pool
	masters    masters
	countAt    time.Time       // when the workers may be counted again
	uncounted  bool            // the last count failed
	ctx        context.Context // ends with Run, for the tasks of the loop
	tasks      sync.WaitGroup

	mu      sync.RWMutex // guards listed and the machines in it; only the loop writes
	listed  map[User]*running
	stopped bool
}

// New makes a loop that does nothing until Run.
func New(cfg Config, creds Credentials, sink Sink) *Loop {
	cfg = cfg.withDefaults()
	l := &Loop{
		cfg: cfg, creds: creds, sink: sink,
		metrics: newMetrics(cfg.Metrics),
		inbox:   newInbox(),
		listed:  make(map[User]*running),
	}
	l.masters = newMasters(cfg.Tuning)
	l.connects = newPool(cfg.Connects, &l.tasks, l.inbox.post)
	l.operations = newPool(operationsPerLoop, &l.tasks, l.inbox.post)
	return l
}

// Run runs the listeners until ctx ends, then closes all connections and waits
// until nothing of them is left. It may be called once.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.ctx = ctx
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for ctx.Err() == nil {
		l.inbox.drain()
		l.fire(time.Now())
		l.connects.start()
		l.count(time.Now())
		l.metrics.waiting.Set(float64(l.connects.waiting))
		if at := l.next(); !at.IsZero() {
			alarm.Reset(time.Until(at))
		} else {
			alarm.Stop()
		}
		select {
		case <-ctx.Done():
		case <-l.inbox.wake:
		case <-alarm.C:
		}
	}
	l.stop()
	return nil
}

func (l *Loop) fire(now time.Time) {
	for r := l.timers.due(now); r != nil; r = l.timers.due(now) {
		l.step(r, listener.Timer{})
	}
}

// next is when something is due.
func (l *Loop) next() time.Time {
	at := l.connects.wakeAt
	if len(l.timers) > 0 {
		at = sooner(at, l.timers[0].wakeAt)
	}
	return at
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
	l.tasks.Wait()
	l.inbox.drain()
}

// Put adds a mailbox or updates it: a changed store reconnects, a grown
// credential version resumes a suspended listener.
func (l *Loop) Put(m Mailbox) { l.inbox.post(func() { l.put(m) }) }

// Remove stops a user's listener. The sink may hear of the user until then.
func (l *Loop) Remove(u User) {
	l.inbox.post(func() {
		if r := l.listed[u]; r != nil {
			l.remove(r)
		}
	})
}

// RemoveAll stops all listeners.
func (l *Loop) RemoveAll() { l.inbox.post(l.removeAll) }

// Fetch asks for the mails from a UID on; Sink.Fetched answers, with an error at
// once where the mailbox is not open. Calls that come before the answer are
// one, from the lowest UID asked for. A listener that is removed never answers.
func (l *Loop) Fetch(u User, from uint32) {
	l.inbox.post(func() {
		if r := l.listed[u]; r != nil {
			l.step(r, listener.FetchWanted{From: from})
			return
		}
		l.sink.Fetched(Batch{User: u, From: from, Err: errNoListener})
	})
}

// Status reports the listeners of the users that have one.
func (l *Loop) Status(users []User) []Status {
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hints

import (
	"context"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// line are the hints that wait for one worker, or for the registry to say whose they
// are, with the one call that may be out to it.
type line struct {
	address  string // of the worker; empty at the registry
	backend  string // of the logins to look up; empty for a worker
	waiting  map[*entry]struct{}
	busy     bool // a call is out
	failures int  // of calls, in a row
	retryAt  time.Time
}

// unused tells whether nobody would miss the line.
func (l *line) unused() bool { return len(l.waiting) == 0 && !l.busy && l.failures == 0 }

// lineTo is the line to a worker.
func (h *Hub) lineTo(address string) *line {
	l := h.workers[address]
	if l == nil {
		l = &line{address: address, waiting: make(map[*entry]struct{})}
		h.workers[address] = l
	}
	return l
}

// lookup is the line to the registry for logins at mail stores of a backend.
func (h *Hub) lookup(backend string) *line {
	l := h.lookups[backend]
	if l == nil {
		l = &line{backend: backend, waiting: make(map[*entry]struct{})}
		h.lookups[backend] = l
	}
	return l
}

func (h *Hub) join(e *entry, l *line) {
	e.line = l
	l.waiting[e] = struct{}{}
	h.start(l)
}

func (h *Hub) leave(e *entry) {
	if e.line != nil {
		delete(e.line.waiting, e)
		e.line = nil
	}
}

// start makes a call with what waits in a line, if it may.
func (h *Hub) start(l *line) {
	worker := h.worker.Load()
	if h.ctx == nil || worker == nil || l.busy || len(l.waiting) == 0 || time.Now().Before(l.retryAt) {
		return
	}
	batch := make([]*entry, 0, min(len(l.waiting), MaxBatch))
	for e := range l.waiting {
		if len(batch) == MaxBatch {
			break
		}
		batch = append(batch, e)
		e.out, e.again = true, false
		delete(l.waiting, e)
	}
	l.busy = true
	life, call := h.ctx, h.callWorker
	if l.address == "" {
		call = h.callRegistry
	}
	ask := call(worker, l, batch)
	h.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(life, callTime)
		defer cancel()
		take, err := ask(ctx)
		h.returned(l, batch, take, err)
	})
}

// question asks somebody about a batch, and returns what takes in the answer to each.
type question func(ctx context.Context) (take func(i int, e *entry), err error)

func (h *Hub) callWorker(worker *Worker, l *line, batch []*entry) question {
	routed := make([]Routed, len(batch))
	for i, e := range batch {
		routed[i] = e.routed()
	}
	return func(ctx context.Context) (func(int, *entry), error) {
		verdicts, err := worker.Workers.Notify(ctx, l.address, routed)
		return func(i int, e *entry) {
			if i < len(verdicts) {
				h.judge(e, verdicts[i], Passed)
			}
		}, err
	}
}

func (h *Hub) callRegistry(worker *Worker, l *line, batch []*entry) question {
	logins := make([]string, len(batch))
	for i, e := range batch {
		logins[i] = e.name
	}
	return func(ctx context.Context) (func(int, *entry), error) {
		users, err := worker.Names.FindUsers(ctx, l.backend, logins)
		return func(i int, e *entry) {
			var of []mailbox.User
			if i < len(users) {
				of = users[i]
			}
			h.found(e, of)
		}, err
	}
}

// returned takes in the end of a call.
func (h *Hub) returned(l *line, batch []*entry, take func(int, *entry), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.busy = false
	h.count(l, err)
	for i, e := range batch {
		e.out = false
		e.line = nil
		switch {
		case h.kept[e.key] != e: // pushed out meanwhile
		case err != nil:
			h.dispatch(e) // to the same, or to who has taken over since
		default:
			take(i, e)
		}
	}
	h.start(l)
}

// count notes how a call went. After one that failed the next is made a little later.
func (h *Hub) count(l *line, err error) {
	to, ok := "worker", "true"
	if l.address == "" {
		to = "registry"
	}
	if err == nil {
		l.failures, l.retryAt = 0, time.Time{}
	} else {
		ok = "false"
		l.failures++
		wait := retry(l.failures)
		l.retryAt = time.Now().Add(wait)
		time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.start(l)
		})
		if l.failures == 1 {
			h.cfg.Log.Warn("hints could not be passed on; they are remembered", "to", to, "address", l.address, "error", err)
		}
	}
	h.metrics.calls.WithLabelValues(to, ok).Inc()
}

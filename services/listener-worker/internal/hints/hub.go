// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hints

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/backoff"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Hub brings hints to listeners. It is safe for concurrent use; calls to others are made
// while Run runs.
type Hub struct {
	cfg     Config
	metrics *metrics
	worker  atomic.Pointer[Worker] // nil before Join
	names   names
	tasks   sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context              // of Run; nil without one
	owners  func(shard.ID) (Owner, bool) // nil until somebody has told
	kept    map[key]*entry               // hints that have not reached anybody
	oldest  *entry                       // of them, by the time they came
	newest  *entry
	workers map[string]*line // by address
	lookups map[string]*line // at the registry, by backend
}

// New makes a hub that keeps what is not for this worker until Run.
func New(cfg Config) *Hub {
	h := &Hub{cfg: cfg.withDefaults(), kept: make(map[key]*entry), workers: make(map[string]*line), lookups: make(map[string]*line)}
	h.metrics = newMetrics(cfg.Metrics, func() float64 {
		h.mu.Lock()
		defer h.mu.Unlock()
		return float64(len(h.kept))
	})
	return h
}

// Run passes hints on until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer h.tasks.Wait()
	defer cancel()
	h.live(ctx)
	defer h.live(nil) //nolint:staticcheck // no life: no calls are made
	tick := time.NewTicker(againEvery)
	defer tick.Stop()
	for {
		h.again()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// live says within which life calls are made; nil for none.
func (h *Hub) live(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ctx = ctx
}

// again lets go of what is too old, and tries for the rest what can be tried.
func (h *Hub) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for h.oldest != nil && now.Sub(h.oldest.since) > h.cfg.MaxAge {
		h.drop(h.oldest, "old")
	}
	for _, e := range h.kept {
		if !e.out && e.line == nil {
			h.dispatch(e)
		}
	}
	for _, lines := range []map[string]*line{h.workers, h.lookups} {
		for name, l := range lines {
			h.start(l)
			if l.unused() {
				delete(lines, name)
			}
		}
	}
}

// key is what hints are one by.
type key struct{ backend, name string }

// whom is the user that a name stands for. Without sure it is a guess, for the name may
// as well be a login.
type whom struct {
	user mailbox.User
	sure bool
}

// entry is a hint that has not reached anybody yet.
type entry struct {
	key
	whom
	hint  mailbox.Hint
	since time.Time

	denied bool  // the worker of the user that the name looks like knows none
	line   *line // that it waits in; nil when nobody is there to ask
	out    bool  // it is with a call
	again  bool  // another came meanwhile

	older, younger *entry

	result atomic.Pointer[Result] // nil while it is kept
	done   chan struct{}
}

// now is what has become of the hint so far.
func (e *entry) now() Result {
	if result := e.result.Load(); result != nil {
		return *result
	}
	return Kept
}

func (e *entry) routed() Routed { return Routed{Hint: e.hint, Backend: e.backend, User: e.user} }

// keep keeps a hint, sends it on its way, and tells whether it is worth while to wait for
// what becomes of it.
func (h *Hub) keep(hint Hint, to whom) (*entry, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := key{hint.Backend, hint.Name}
	e := h.kept[at]
	switch {
	case e == nil:
		if len(h.kept) >= h.cfg.Most {
			h.drop(h.oldest, "full")
		}
		e = &entry{key: at, whom: to, hint: hint.Hint, since: time.Now(), done: make(chan struct{})}
		h.add(e)
	case e.out:
		e.again = true
		fallthrough
	default:
		e.hint = e.hint.Merge(hint.Hint)
	}
	if !e.out {
		h.dispatch(e)
	}
	asked := h.worker.Load() != nil && e.line != nil && e.line.failures == 0
	return e, asked && e.result.Load() == nil
}

// dispatch sends a hint that is not out to where it is for.
func (h *Hub) dispatch(e *entry) {
	h.leave(e)
	if e.user == (mailbox.User{}) {
		h.join(e, h.lookup(e.backend))
		return
	}
	if h.local(e.user, e.hint) {
		h.judge(e, Taken, Local)
		return
	}
	address, verdict := h.missing(e.routed())
	switch {
	case verdict == Unknown:
		h.judge(e, Unknown, Local)
	case address != "":
		h.join(e, h.lineTo(address))
	case !e.sure: // nobody runs such a shard: the name may be a login
		h.join(e, h.lookup(e.backend))
	}
}

// judge takes in what a worker says to a hint.
func (h *Hub) judge(e *entry, verdict Verdict, taken Result) {
	switch {
	case verdict == Elsewhere: // who runs the shard has to be learned anew
	case e.again:
		e.again = false
		h.dispatch(e)
	case verdict == Taken:
		h.settle(e, taken)
	case e.sure:
		h.settle(e, Nobody)
	default:
		e.denied = true
		h.join(e, h.lookup(e.backend))
	}
}

// found takes in whose a name is.
func (h *Hub) found(e *entry, users []mailbox.User) {
	switch {
	case len(users) == 0 && !e.denied && e.user != (mailbox.User{}):
		e.sure = true // it is no login
		h.dispatch(e)
		return
	case len(users) == 0:
		h.settle(e, Nobody)
	case len(users) == 1:
		e.whom = whom{users[0], true}
		h.dispatch(e)
	default:
		for _, user := range users {
			look := lookFor(Hint{Hint: e.hint, Backend: e.backend}, user)
			h.tasks.Go(func() { h.bring(context.Background(), look, whom{user, true}) }) //nolint:contextcheck // nobody waits for it; Patience bounds it
		}
		h.settle(e, Passed)
	}
	h.names.learn(e.key, users)
}

// settle ends a hint.
func (h *Hub) settle(e *entry, result Result) {
	h.leave(e)
	h.remove(e)
	e.result.Store(&result)
	close(e.done)
}

func (h *Hub) drop(e *entry, reason string) {
	h.metrics.dropped.WithLabelValues(reason).Inc()
	h.settle(e, Kept)
}

// add and remove keep the entries in the order in which they came.
func (h *Hub) add(e *entry) {
	h.kept[e.key] = e
	e.older = h.newest
	if h.newest != nil {
		h.newest.younger = e
	} else {
		h.oldest = e
	}
	h.newest = e
}

func (h *Hub) remove(e *entry) {
	delete(h.kept, e.key)
	if e.older != nil {
		e.older.younger = e.younger
	} else {
		h.oldest = e.younger
	}
	if e.younger != nil {
		e.younger.older = e.older
	} else {
		h.newest = e.older
	}
	e.older, e.younger = nil, nil
}

// retry is how long to stay away from somebody after so many failures in a row.
func retry(failures int) time.Duration {
	return backoff.Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}.Half(failures-1, rand.Float64())
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package hints brings word of new mail to the listener that it is for, on whichever
// worker that runs: whoever sends it knows neither shards nor workers.
//
// Invariants: who brings a hint never waits for longer than Patience, whatever is down;
// a hint that was taken reaches a listener, or is kept until it does, is too old, or is
// pushed out by newer ones; of one mailbox one hint is kept at most; one call is out to
// another worker, or to the registry, at a time. A hint that is lost all the same costs
// lateness, never a mail.
package hints

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// Patience is how long a hint's bringer waits to learn what became of it, at most. A
	// mail store delivers the mail no sooner.
	Patience = 150 * time.Millisecond
	// MaxBatch is how many hints one call carries at most.
	MaxBatch = 1000

	defaultKept = 10_000
	defaultAge  = 10 * time.Minute
	callTime    = time.Second
	// againEvery is how often those are looked at that nobody takes.
	againEvery = 500 * time.Millisecond
)

// Hint is word of new mail as a mail store sends it.
type Hint struct {
	mailbox.Hint

	// Backend is that of the listeners it is meant for.
	Backend string
	// Name is what the mail store calls the user: user@context where it was told so, else
	// a login.
	Name string
}

// Routed is a hint that has found its user.
type Routed struct {
	mailbox.Hint

	Backend string
	User    mailbox.User
}

// Verdict is what a worker says to a hint.
type Verdict int

// The verdicts.
const (
	// Elsewhere means that the worker does not run the user's shard.
	Elsewhere Verdict = iota
	// Taken means that a listener has it.
	Taken
	// Unknown means that the worker runs the shard and has no listener for the user.
	Unknown
)

// Result is what became of a hint by the time its bringer is answered.
type Result string

// The results, which are labels in metrics.
const (
	// Local means that a listener of this worker has it.
	Local Result = "local"
	// Passed means that another worker has it.
	Passed Result = "routed"
	// Kept means that it is remembered, and passed on later.
	Kept Result = "remembered"
	// Nobody means that there is no listener for such a user.
	Nobody Result = "unknown"
)

// Owner is the worker that runs a shard.
type Owner struct{ Worker, Address string }

// Listeners are those of this worker; see [listen.Loop].
type Listeners interface {
	Hint(user mailbox.User, hint mailbox.Hint) (known bool)
}

// Workers are the others.
type Workers interface {
	// Notify hands hints to a worker and returns what it says to each.
	Notify(ctx context.Context, address string, hints []Routed) ([]Verdict, error)
}

// Names knows what mail stores call users.
type Names interface {
	// FindUsers returns the users of each login, as the mail stores of a backend write it;
	// none for one that nobody has.
	FindUsers(ctx context.Context, backend string, logins []string) ([][]mailbox.User, error)
}

// Config sets up a Hub. What is zero gets the default named.
type Config struct {
	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics
	// Most is how many hints are kept (10,000), and MaxAge how long (10 minutes): whoever
	// takes a shard over looks at its mailboxes anyway.
	Most   int
	MaxAge time.Duration
}

// Worker is the worker that a hub is of, with what it knows of its cluster.
type Worker struct {
	Shards uint32 // per backend
	// Self is the id that this worker is registered under, empty while it is not.
	Self      func() string
	Listeners Listeners
	Workers   Workers
	Names     Names
	// Unknown is told of hints for users whose shard this worker runs and who have no
	// listener: their mailboxes may bear a mark of before. It must not block, and may be
	// told so for a moment of a user who is just being subscribed.
	Unknown func(backend string, user mailbox.User)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Most == 0 {
		c.Most = defaultKept
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultAge
	}
	return c
}

// Take takes a hint and tells within Patience what has become of it.
func (h *Hub) Take(ctx context.Context, hint Hint) Result {
	result := h.take(ctx, hint)
	h.metrics.hints.WithLabelValues(hint.Backend, string(result)).Inc()
	return result
}

// Put is Take for who does not wait.
func (h *Hub) Put(hint Hint) Result {
	ended, end := context.WithCancel(context.Background())
	end()
	return h.Take(ended, hint)
}

func (h *Hub) take(ctx context.Context, hint Hint) Result {
	users, found := h.names.find(key{hint.Backend, hint.Name})
	switch {
	case !found:
		return h.bring(ctx, hint, whom{})
	case len(users) == 0:
		if user, ok := mailbox.ParseUser(hint.Name); ok && h.local(user, hint.Hint) {
			return Local // there is one since
		}
		return Nobody
	case len(users) == 1:
		return h.bring(ctx, hint, whom{users[0], true})
	}
	for _, user := range users {
		h.bring(ctx, lookFor(hint, user), whom{user, true})
	}
	return Passed
}

// lookFor is a hint for one of several users with the same name: the mail is one's alone.
func lookFor(hint Hint, user mailbox.User) Hint {
	hint.Name = user.String()
	hint.Hint = mailbox.Hint{Folder: hint.Folder, At: hint.At}
	return hint
}

// bring hands a hint to a listener here, or keeps it for one elsewhere and waits a while.
func (h *Hub) bring(ctx context.Context, hint Hint, to whom) Result {
	if !to.sure {
		to.user, _ = mailbox.ParseUser(hint.Name)
	}
	if to.user != (mailbox.User{}) && h.local(to.user, hint.Hint) {
		return Local
	}
	e, waits := h.keep(hint, to)
	if !waits {
		return e.now()
	}
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	select {
	case <-e.done:
	case <-patience.C:
	case <-ctx.Done():
	}
	return e.now()
}

// local gives a hint to a listener of this worker, if there is one.
func (h *Hub) local(user mailbox.User, hint mailbox.Hint) bool {
	worker := h.worker.Load()
	return worker != nil && worker.Listeners.Hint(user, hint)
}

// Here gives a hint to this worker's listener, on behalf of a worker that has been
// brought it.
func (h *Hub) Here(hint Routed) Verdict {
	if h.local(hint.User, hint.Hint) {
		return Taken
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, verdict := h.missing(hint)
	return verdict
}

// missing is what to say to a hint for which there is no listener here, and the address
// of the worker that has one, if that is another. The caller holds mu.
func (h *Hub) missing(hint Routed) (address string, verdict Verdict) {
	worker := h.worker.Load()
	if worker == nil || h.owners == nil {
		return "", Elsewhere
	}
	owner, known := h.owners(shard.ID{
		Backend: hint.Backend, Number: shard.Of(hint.User.Context, hint.User.ID, worker.Shards),
	})
	switch {
	case !known:
		return "", Elsewhere
	case owner.Worker != worker.Self():
		return owner.Address, Elsewhere
	}
	worker.Unknown(hint.Backend, hint.User)
	return "", Unknown
}

// Join takes in which worker it is. Before that all hints are kept: a mail store is
// answered as soon as there is a process.
func (h *Hub) Join(worker Worker) { h.worker.Store(&worker) }

// Owned takes in who runs which shard from now on.
func (h *Hub) Owned(owners func(shard.ID) (Owner, bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owners = owners
	for _, e := range h.kept {
		if !e.out {
			h.dispatch(e)
		}
	}
}

type metrics struct {
	hints   *prometheus.CounterVec
	dropped *prometheus.CounterVec
	calls   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, kept func() float64) *metrics {
	f := promauto.With(r)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailpush_worker_hints_remembered",
		Help: "Hints that wait for the worker they are for.",
	}, kept)
	m := &metrics{
		hints: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_hints_total",
			Help: "Hints of new mail that were brought to this worker, by the backend they are for and what became of them.",
		}, []string{"backend", "result"}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_hints_dropped_total",
			Help: "Hints that were remembered and reached nobody, by why: full or old.",
		}, []string{"reason"}),
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_hint_calls_total",
			Help: "Calls that bring hints to other workers or look users up at the registry, by to whom and result.",
		}, []string{"to", "ok"}),
	}
	for _, reason := range []string{"full", "old"} {
		m.dropped.WithLabelValues(reason)
	}
	for _, to := range []string{"worker", "registry"} {
		for _, ok := range []bool{true, false} {
			m.calls.WithLabelValues(to, strconv.FormatBool(ok))
		}
	}
	return m
}

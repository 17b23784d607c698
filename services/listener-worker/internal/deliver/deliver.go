// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package deliver carries out what the pumps decide: it reads mailboxes, sends
// pushes and stores cursors, for all subscriptions of a worker.
//
// One goroutine steps all pumps. What can block, an endpoint, the vault, the
// registry, runs beside it in bounded number and comes back as an event. A pump needs
// a turn to hold mails in memory; turns are bounded in all, per tenant, per mail store
// that is read and per origin, and go round them, so that an endpoint that hangs holds
// up its own origin only, and a store that is slow its own mailboxes. An origin that
// fails whoever asks gets no requests but one now and then, to see.
//
// Invariants: a cursor is stored only under the claim its mailbox is held by; once a
// claim is refused or dropped nothing more is sent for it; while the right to act is in
// doubt nothing is sent before the registry has said that the claim is the newest; a fetch serves all
// subscriptions of the user that wait for the same mails.
package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/services/listener-worker/internal/doubt"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/pump"
	"mailpush.internal/services/listener-worker/internal/turns"
)

// Config sets up a Loop. What is zero gets the default named.
type Config struct {
	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics
	Policy  pump.Policy
	// Turns bounds the batches in memory (1,024) and TenantTurns those of one context
	// (256); StoreTurns bounds those that are being read at one mail store (64) and
	// OriginTurns the requests to one origin (64).
	Turns, TenantTurns, StoreTurns, OriginTurns int
	// Cursors are committed, and endpoints reported, CommitEvery (100 ms); cursors also
	// at CommitRows (500).
	CommitEvery time.Duration
	CommitRows  int
	// Prefetches bounds the signing secrets that are opened at once ahead of a
	// first push (8).
	Prefetches int
	// MaxUncommitted is how long to go on delivering while the registry takes no
	// cursors (30 s): it bounds what is sent again after a crash.
	MaxUncommitted time.Duration
	// Current tells whether the right to act is current at this moment. Nil: always.
	Current func() bool
	// Refused is told, on a goroutine of its own, of claims that the registry has
	// refused. They have been dropped.
	Refused func([]Claim)
}

const (
	defaultTurns          = 1024
	defaultTenantTurns    = 256
	defaultStoreTurns     = 64
	defaultOriginTurns    = 64
	defaultCommitEvery    = 100 * time.Millisecond
	defaultCommitRows     = 500
	defaultPrefetches     = 8
	defaultMaxUncommitted = 30 * time.Second
)

// Loop runs pumps. Its methods may be called from any goroutine and do not block,
// Drain excepted.
type Loop struct {
	cfg       Config
	policy    *pump.Policy
	transport Transport
	secrets   Secrets
	mailboxes Mailboxes
	metrics   *metrics

	mu      sync.Mutex
	queue   []func()
	wake    chan struct{}
	stopped chan struct{}
	work    sync.WaitGroup // sends, commits, reports, questions and prefetches
	beside  func(func())   // starts one of them
	gate    *doubt.Gate
	backlog backlog

	// Only the loop's goroutine touches what follows.
	ctx      context.Context //nolint:containedctx // the life of Run, for what it starts
	boxes    map[listen.User]*box
	turns    *turns.Turns
	timers   timers
	outages  map[*turns.Origin]*outage
	commit   *committer
	reports  *reporter
	prefetch prefetch
	drains   []*drain

	outagesTold time.Time
}

var _ interface {
	Head(listen.User, listen.Box, time.Time)
	Fetched(listen.Batch)
} = (*Loop)(nil)

// New makes a loop that does nothing until Run.
func New(cfg Config, transport Transport, secrets Secrets, registry Registry, mailboxes Mailboxes) *Loop {
	cfg = withDefaults(cfg)
	l := &Loop{
		cfg:       cfg,
		policy:    pump.NewPolicy(cfg.Policy),
		transport: transport,
		secrets:   secrets,
		mailboxes: mailboxes,
		metrics:   newMetrics(cfg.Metrics),
		wake:      make(chan struct{}, 1),
		stopped:   make(chan struct{}),
		boxes:     make(map[listen.User]*box),
		outages:   make(map[*turns.Origin]*outage),
		commit:    newCommitter(registry),
		reports:   newReporter(registry),
		prefetch:  prefetch{max: cfg.Prefetches},
	}
	l.turns = turns.New(turns.Limits{
		Process: cfg.Turns, Tenant: cfg.TenantTurns, Store: cfg.StoreTurns, Origin: cfg.OriginTurns,
	}, l.outageOver)
	l.beside = l.work.Go
	l.gate = doubt.New(cfg.Current, func(ctx context.Context, claims []Claim) ([]Claim, error) {
		l.metrics.questions.Inc()
		return registry.OpenEpoch(ctx, claims)
	}, func(ask func(context.Context)) { l.beside(func() { ask(l.ctx) }) })
	l.showGauges(cfg.Metrics)
	return l
}

func withDefaults(cfg Config) Config {
	setDefault(&cfg.Turns, defaultTurns)
	setDefault(&cfg.TenantTurns, defaultTenantTurns)
	setDefault(&cfg.StoreTurns, defaultStoreTurns)
	setDefault(&cfg.OriginTurns, defaultOriginTurns)
	setDefault(&cfg.CommitEvery, defaultCommitEvery)
	setDefault(&cfg.CommitRows, defaultCommitRows)
	setDefault(&cfg.Prefetches, defaultPrefetches)
	setDefault(&cfg.MaxUncommitted, defaultMaxUncommitted)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Refused == nil {
		cfg.Refused = func([]Claim) {}
	}
	if cfg.Current == nil {
		cfg.Current = func() bool { return true }
	}
	return cfg
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// Run delivers until ctx ends, then cuts off what is in flight and returns. Call Drain
// before for an orderly end. It is called once.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer l.work.Wait()
	defer cancel()
	defer close(l.stopped)
	l.ctx = ctx
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-timer.C:
		}
		l.round() //nolint:contextcheck // what is started lives as long as l.ctx, which is ctx
		if at, ok := l.nextTime(); ok {
			timer.Reset(time.Until(at))
		}
	}
}

// round takes in what has happened and does what is due.
func (l *Loop) round() {
	for _, event := range l.taken() {
		event()
	}
	l.onTime(time.Now())
	l.giveTurns()
	l.openAhead() // last, for pushes go first
}

// post hands an event to the loop. The queue is bounded by what can be open: turns,
// commits, and the heads of mailboxes, which the listeners coalesce.
func (l *Loop) post(event func()) {
	l.mu.Lock()
	l.queue = append(l.queue, event)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // the loop has yet to see the last one
	}
}

func (l *Loop) taken() []func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.queue
	l.queue = nil
	return out
}

// onTime does what is due.
func (l *Loop) onTime(now time.Time) {
	for {
		due := l.timers.popDue(now)
		if due == nil {
			break
		}
		l.alarmed(due, now)
	}
	if l.commit.due(now) {
		l.startCommit()
	}
	l.tellOutages(now)
	l.startReport(now)
	l.backlog.survey(now)
}

// nextTime is when onTime is needed next.
func (l *Loop) nextTime() (time.Time, bool) {
	at, ok := l.timers.next()
	for _, next := range []func() (time.Time, bool){l.commit.next, l.reports.next, l.backlog.next, l.nextOutages} {
		if other, waits := next(); waits && (!ok || other.Before(at)) {
			at, ok = other, true
		}
	}
	return at, ok
}

// giveTurns starts what may start. While cursors have not been taken for too long,
// nothing new is begun.
func (l *Loop) giveTurns() {
	for !l.commit.stalled(time.Now(), l.cfg.MaxUncommitted) {
		if lane, waits := l.turns.PopRequest().(*lane); waits {
			l.start(lane)
			continue
		}
		lane, waits := l.turns.Pop().(*lane)
		if !waits {
			return
		}
		l.step(lane, pump.Turn{})
	}
}

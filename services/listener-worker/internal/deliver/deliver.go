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
// fails whoever asks gets no requests but probes now and then, to see: they go round those
// that wait for it.
//
// Invariants: a cursor is stored only under the claim its mailbox is held by; once a
// claim is refused or dropped nothing more is sent for it; while the right to act is in
// doubt nothing is sent before the registry has said that the claim is the newest; a fetch serves all
// subscriptions of the user that wait for the same mails.
package deliver

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/doubt"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/turns"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
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
	Refused func([]hold.Claim)
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
	cfg        Config
	policy     *pump.Policy
	transports transport.Table
	secrets    Secrets
	mailboxes  Mailboxes
	metrics    *metrics

	loop    *loop.Loop
	beside  func(func()) // starts a send, commit, report, question or prefetch
	stopped chan struct{}
	gate    *doubt.Gate
	backlog backlog
	endings chan struct{} // has one for each push that says that a subscription ends

	// Only the loop's goroutine touches what follows.
	ctx      context.Context //nolint:containedctx // the life of Run, for what it starts
	boxes    map[mailbox.User]*box
	turns    *turns.Turns
	timers   loop.Timers
	origins  *origins.Set
	outages  map[*origins.Origin]bool // those that are out of order
	commit   *committer
	reports  *reporter
	prefetch prefetch
	drains   []*drain
	told     allTold

	storing, telling *condition.Condition // cursors and reports, tried again until it works

	outagesTold time.Time
}

// New makes a loop that does nothing until Run.
func New(cfg Config, transports transport.Table, secrets Secrets, registry Registry, mailboxes Mailboxes) *Loop {
	cfg = withDefaults(cfg)
	l := &Loop{
		cfg:        cfg,
		policy:     pump.NewPolicy(cfg.Policy),
		transports: transports,
		secrets:    secrets,
		mailboxes:  mailboxes,
		metrics:    newMetrics(cfg.Metrics, transports),
		loop:       loop.New(),
		stopped:    make(chan struct{}),
		boxes:      make(map[mailbox.User]*box),
		outages:    make(map[*origins.Origin]bool),
		commit:     newCommitter(registry),
		reports:    newReporter(registry),
		prefetch:   prefetch{max: cfg.Prefetches},
		endings:    make(chan struct{}, maxEndings),
	}
	l.storing = condition.New(cfg.Log, slog.LevelWarn, "cursors could not be stored")
	l.telling = condition.New(cfg.Log, slog.LevelWarn, "what endpoints have come to could not be told")
	l.beside = l.loop.Go
	l.origins = origins.New(l.outageOver)
	l.turns = turns.New(turns.Limits{
		Process: cfg.Turns, Tenant: cfg.TenantTurns, Store: cfg.StoreTurns,
		Origin: cfg.OriginTurns, Questions: max(1, cfg.OriginTurns/8),
	}, l.origins)
	l.gate = doubt.New(cfg.Current, func(ctx context.Context, claims []hold.Claim) ([]hold.Claim, error) {
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
		cfg.Refused = func([]hold.Claim) {}
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
	defer l.loop.Wait()
	defer cancel()
	defer close(l.stopped)
	l.ctx = ctx
	l.loop.Run(ctx, l.round) //nolint:contextcheck // what is started lives as long as l.ctx, which is ctx
	return nil
}

// round does what is due and begins what may be begun.
func (l *Loop) round(now time.Time) time.Time {
	l.onTime(now)
	l.giveTurns()
	l.openAhead() // last, for pushes go first
	return l.nextTime(now)
}

// onTime does what is due.
func (l *Loop) onTime(now time.Time) {
	for due := l.timers.PopDue(now); due != nil; due = l.timers.PopDue(now) {
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
func (l *Loop) nextTime(now time.Time) time.Time {
	at := l.timers.Next(now)
	for _, next := range []func() (time.Time, bool){l.commit.next, l.reports.next, l.backlog.next, l.nextOutages} {
		if other, waits := next(); waits {
			at = loop.Sooner(at, other)
		}
	}
	return at
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
		l.turn(lane)
	}
}

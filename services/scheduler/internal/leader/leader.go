// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package leader is the scheduler's one loop: while leader, make the plan match the
// members. It reads, writes and waits as package term decides.
//
// Invariant: the loop remembers nothing that the plan depends on, so a new leader
// goes on where the last one stopped, and the end of a term changes no plan.
package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/scheduler/internal/assign"
	"mailpush.internal/services/scheduler/internal/term"
)

const (
	// campaignPause is the wait after a campaign that could not be run.
	campaignPause = time.Second
	// resignTimeout bounds the end of a term; after it the lease runs out.
	resignTimeout = 2 * time.Second
)

// Config says what a Leader works with.
type Config struct {
	// Name is what the others see as the leader's name.
	Name    string
	Cluster *cluster.Client
	// Loads returns what the registry last said of the shards.
	Loads func() assign.Loads
	// Ask asks the registry, so that Loads has what its highest epoch is now.
	Ask     func(ctx context.Context) error
	Log     *slog.Logger
	Metrics *Metrics
}

// Leader campaigns and, while it leads, schedules.
type Leader struct {
	config Config
	// alarm, unread, refused and unanswered are what was last logged about.
	alarm, unread, refused, unanswered string
}

// New returns a Leader for Run.
func New(config Config) *Leader { return &Leader{config: config} }

// Run campaigns and leads until ctx ends, which is no error.
func (l *Leader) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lease, err := l.config.Cluster.Campaign(ctx, l.config.Name)
		if err != nil {
			l.standAgain(ctx, err)
			continue
		}
		l.refused = ""
		l.config.Log.InfoContext(ctx, "leading")
		l.config.Metrics.leading.Set(1)
		err = l.lead(ctx, lease)
		l.config.Metrics.follow()
		l.config.Log.InfoContext(ctx, "leading no more", "reason", err)
		l.resign(ctx, lease)
	}
	return nil
}

// standAgain waits after a campaign that failed. The same reason is logged once.
func (l *Leader) standAgain(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if err.Error() != l.refused {
		l.config.Log.WarnContext(ctx, "campaign could not be run", "error", err)
	}
	l.refused = err.Error()
	pause(ctx, campaignPause)
}

func (l *Leader) resign(ctx context.Context, lease *cluster.Term) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTimeout)
	defer cancel()
	if err := lease.Resign(ctx); err != nil {
		l.config.Log.WarnContext(ctx, "term could not be resigned", "error", err)
	}
}

// lead carries out what the term decides until the term or ctx ends.
func (l *Leader) lead(ctx context.Context, lease *cluster.Term) error {
	ctx, cancel := context.WithCancel(ctx)
	hints := l.config.Cluster.Watch(ctx)
	defer func() {
		cancel()
		for range hints { // until the watch has ended
		}
	}()
	t := &leadership{Leader: l, lease: lease, hints: hints, began: time.Now()}
	var machine term.Machine
	for event := term.Event(term.Hint{}); ; {
		var err error
		switch effect := machine.Step(event, time.Now()).(type) {
		case term.Read:
			event = t.read(ctx)
		case term.Ask:
			event = t.ask(ctx)
		case term.Apply:
			event = t.apply(ctx, effect.Update)
		case term.Wait:
			t.tell(ctx, effect)
			event, err = t.wait(ctx, effect.For)
		case term.Stop:
			err = cluster.ErrDeposed
		}
		if err != nil {
			return err
		}
	}
}

// leadership is what lasts for one term.
type leadership struct {
	*Leader

	lease    *cluster.Term
	hints    <-chan struct{}
	snapshot *cluster.Snapshot // as it was read last
	began    time.Time         // of the pass
	failing  bool
}

// wait waits for a hint, or for so long if it is not 0.
func (t *leadership) wait(ctx context.Context, d time.Duration) (term.Event, error) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-t.lease.Done():
		return nil, cluster.ErrDeposed
	case <-t.hints:
	case <-over:
	}
	t.began = time.Now()
	return term.Hint{}, nil
}

// read reads the cluster as package assign sees it.
func (t *leadership) read(ctx context.Context) term.Event {
	var err error
	if t.snapshot, err = t.config.Cluster.Snapshot(ctx); err != nil {
		t.complain(ctx, fmt.Errorf("reading the plan: %w", err))
		return term.Failed{}
	}
	settings := t.config.Cluster.Settings()
	in := assign.Input{
		Revision: t.snapshot.Revision,
		Shards:   settings.GetShards(),
		LeaseTTL: time.Duration(settings.GetLeaseTtlSeconds()) * time.Second,
		Entries:  make([]assign.Entry, len(t.snapshot.Entries)),
		Loads:    t.config.Loads(),
	}
	for i, entry := range t.snapshot.Entries {
		in.Entries[i] = assign.Entry{
			ID: entry.ID, Worker: entry.Worker, Want: entry.Want, Have: entry.Have,
			Unread: assign.Unread{Worker: entry.Unread.Worker != nil, Want: entry.Unread.Want != nil, Have: entry.Unread.Have != nil},
		}
	}
	return term.Cluster{Input: in}
}

// ask asks the registry before the first plan of all. The same reason why it does not answer
// is logged once.
func (t *leadership) ask(ctx context.Context) term.Event {
	err := t.config.Ask(ctx)
	if err == nil {
		t.unanswered = ""
		return term.Told{}
	}
	if err.Error() != t.unanswered && ctx.Err() == nil {
		t.config.Log.InfoContext(ctx, "first plan waits for the registry", "error", err)
		t.unanswered = err.Error()
	}
	return term.Unanswered{}
}

func (t *leadership) apply(ctx context.Context, update assign.Update) term.Event {
	err := t.lease.Apply(ctx, t.snapshot, cluster.Update(update))
	switch {
	case err == nil:
		return term.Applied{}
	case errors.Is(err, cluster.ErrDeposed):
		t.config.Metrics.passes.WithLabelValues("deposed").Observe(time.Since(t.began).Seconds())
		return term.Deposed{}
	case errors.Is(err, cluster.ErrConflict):
		return term.Conflict{}
	default:
		t.complain(ctx, err)
		return term.Failed{}
	}
}

// tell shows operators how a pass went.
func (t *leadership) tell(ctx context.Context, pass term.Wait) {
	if pass.Result != "" {
		t.config.Metrics.passes.WithLabelValues(string(pass.Result)).Observe(time.Since(t.began).Seconds())
	}
	if pass.Result == term.Changed || pass.Result == term.Unchanged {
		t.failing = false
		t.show(ctx, t.snapshot, pass.Plan)
	}
}

// complain logs the first of a row of failures: listeners run on meanwhile, and
// passes are tried again until one succeeds.
func (t *leadership) complain(ctx context.Context, err error) {
	if t.failing || ctx.Err() != nil {
		return
	}
	t.failing = true
	cause := err
	if public := new(fault.Error); errors.As(err, &public) && public.Err != nil {
		cause = errors.Join(err, public.Err)
	}
	t.config.Log.ErrorContext(ctx, "plan could not be brought up to date", "error", cause)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package leader is the scheduler's one loop: while leader, make the plan match the
// members. It reads the cluster, asks package assign what to change, and writes that.
//
// Invariant: the loop remembers nothing that the plan depends on, so a new leader
// goes on where the last one stopped, and the end of a term changes no plan. Which
// workers flap is forgotten with the term: a newcomer's share is all that hangs on it.
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
)

const (
	// campaignPause is the wait after a campaign that could not be run.
	campaignPause = time.Second
	// passPause is the wait after a pass that failed.
	passPause = time.Second
	// conflictPause is the wait after a pass that was overtaken by a worker's report.
	conflictPause = 20 * time.Millisecond
	// retryEvery is how often refused grants are renewed.
	retryEvery = 30 * time.Second
	// resignTimeout bounds the end of a term; after it the lease runs out.
	resignTimeout = 2 * time.Second
)

// Config says what a Leader works with.
type Config struct {
	// Name is what the others see as the leader's name.
	Name    string
	Cluster *cluster.Client
	// Loads returns what the registry last said of the shards.
	Loads   func() assign.Loads
	Log     *slog.Logger
	Metrics *Metrics
}

// Leader campaigns and, while it leads, schedules.
type Leader struct {
	config Config
	// alarm is what was last logged about.
	alarm string
}

// New returns a Leader for Run.
func New(config Config) *Leader { return &Leader{config: config} }

// Run campaigns and leads until ctx ends, which is no error.
func (l *Leader) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		term, err := l.config.Cluster.Campaign(ctx, l.config.Name)
		if err != nil {
			if ctx.Err() == nil {
				l.config.Log.WarnContext(ctx, "campaign could not be run", "error", err)
				pause(ctx, campaignPause)
			}
			continue
		}
		l.config.Log.InfoContext(ctx, "leading")
		l.config.Metrics.leading.Set(1)
		err = l.lead(ctx, term)
		l.config.Metrics.leading.Set(0)
		l.config.Log.InfoContext(ctx, "leading no more", "reason", err)
		l.resign(ctx, term)
	}
	return nil
}

func (l *Leader) resign(ctx context.Context, term *cluster.Term) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTimeout)
	defer cancel()
	if err := term.Resign(ctx); err != nil {
		l.config.Log.WarnContext(ctx, "term could not be resigned", "error", err)
	}
}

// lead makes one pass for each hint, and more when a pass asks for it, until the
// term or ctx ends.
func (l *Leader) lead(ctx context.Context, term *cluster.Term) error {
	ctx, cancel := context.WithCancel(ctx)
	hints := l.config.Cluster.Watch(ctx)
	defer func() {
		cancel()
		for range hints { // until the watch has ended
		}
	}()
	t := &tenure{Leader: l, term: term}
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-term.Done():
			return cluster.ErrDeposed
		case <-hints:
		case <-again.C:
		}
		wait, err := t.pass(ctx)
		if errors.Is(err, cluster.ErrDeposed) {
			return err
		}
		if wait > 0 {
			again.Reset(wait)
		}
	}
}

// tenure is what lasts for one term.
type tenure struct {
	*Leader

	term    *cluster.Term
	pace    pace
	flaps   assign.Flaps
	retried time.Time
	failing bool
}

// pass brings the plan up to date once, and says when to pass again without a hint;
// 0 means not at all.
func (t *tenure) pass(ctx context.Context) (time.Duration, error) {
	started := time.Now()
	wait, result, err := t.tryPass(ctx, started)
	switch {
	case err == nil:
		t.failing = false
	case errors.Is(err, cluster.ErrDeposed):
		result = "deposed"
	case errors.Is(err, cluster.ErrConflict):
		wait, result = conflictPause, "conflict"
	case ctx.Err() == nil:
		wait, result = passPause, "error"
		t.complain(ctx, err)
	}
	if result != "" {
		t.config.Metrics.passes.WithLabelValues(result).Observe(time.Since(started).Seconds())
	}
	return wait, err
}

// complain logs the first of a row of failures: listeners run on meanwhile, and
// passes are tried again until one succeeds.
func (t *tenure) complain(ctx context.Context, err error) {
	if t.failing {
		return
	}
	t.failing = true
	cause := err
	if public := new(fault.Error); errors.As(err, &public) && public.Err != nil {
		cause = errors.Join(err, public.Err)
	}
	t.config.Log.ErrorContext(ctx, "plan could not be brought up to date", "error", cause)
}

func (t *tenure) tryPass(ctx context.Context, now time.Time) (time.Duration, string, error) {
	snapshot, err := t.config.Cluster.Snapshot(ctx)
	if err != nil {
		return 0, "", fmt.Errorf("reading the plan: %w", err)
	}
	if wait := t.pace.wait(snapshot.Entries, now); wait > 0 {
		return wait, "", nil
	}
	retry := now.Sub(t.retried) >= retryEvery
	if retry {
		t.retried = now
	}
	in := t.input(snapshot, retry)
	t.flaps.Observe(in.Entries, now)
	plan := assign.Step(in)
	for _, update := range plan.Updates {
		if err := t.term.Apply(ctx, snapshot, cluster.Update(update)); err != nil {
			return 0, "", err
		}
	}
	t.show(ctx, snapshot, plan)
	if len(plan.Updates) == 0 {
		return 0, "unchanged", nil
	}
	return 0, "changed", nil
}

// input is a snapshot as package assign sees it.
func (t *tenure) input(snapshot *cluster.Snapshot, retry bool) assign.Input {
	in := assign.Input{
		Revision: snapshot.Revision,
		Shards:   t.config.Cluster.Settings().GetShards(),
		Entries:  make([]assign.Entry, len(snapshot.Entries)),
		Loads:    t.config.Loads(),
		Retry:    retry,
	}
	for i, entry := range snapshot.Entries {
		in.Entries[i] = assign.Entry{ID: entry.ID, Worker: entry.Worker, Want: entry.Want, Have: entry.Have}
	}
	return in
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

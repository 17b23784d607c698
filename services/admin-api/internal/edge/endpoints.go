// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Report takes in what endpoints have come to, and returns what became of their
// subscriptions, in the order of the reports. Owners are told of what was disabled. A call that fails may be made again: what it has done stays done.
func (e *Edge) Report(ctx context.Context, reports []registry.Report) ([]registry.Verdict, error) {
	reports = slices.Clone(reports)
	var alive []registry.Report
	for i, r := range reports {
		r = r.Weighed()
		reports[i] = r
		if err := validClaim("reports.claim", r.Claim, e.Shards); err != nil {
			return nil, err
		}
		if r.Outcome != registry.OutcomeGone {
			alive = append(alive, r)
		}
	}
	var settled []registry.Verdict
	if len(alive) > 0 {
		var err error
		if settled, err = e.Store.Report(ctx, e.Shards, alive, time.Now()); err != nil {
			return nil, err
		}
	}
	j := judgement{Edge: e, changed: make(map[registry.Shard]bool)}
	for _, r := range reports {
		if r.Outcome != registry.OutcomeGone {
			j.settle(r, settled[0])
			settled = settled[1:]
			continue
		}
		if err := j.depart(ctx, r); err != nil {
			j.tellAll(ctx)
			return nil, err
		}
	}
	j.tellAll(ctx)
	return j.verdicts, nil
}

// judgement is one Report under way.
type judgement struct {
	*Edge

	verdicts []registry.Verdict
	changed  map[registry.Shard]bool // whose owners must be told
}

func (j *judgement) settle(r registry.Report, v registry.Verdict) {
	j.verdicts = append(j.verdicts, v)
	if v == registry.VerdictDisabled || v == registry.VerdictDeleted {
		j.changed[r.Claim.Shard] = true
	}
}

// depart disables a subscription whose endpoint is gone, if it is to be.
func (j *judgement) depart(ctx context.Context, r registry.Report) error {
	sub, err := j.Store.Subscription(ctx, r.Subscription)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	// Of one that is removed already there is no user, and nothing to keep others from.
	unlock, err := j.locks.lock(ctx, sub.UserID)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := j.Store.Depart(ctx, j.Shards, r, time.Now())
	if err != nil {
		return err
	}
	j.settle(r, d.Verdict)
	if d.Storm.News {
		j.Log.ErrorContext(ctx, "too many endpoints of one origin are gone: their subscriptions go on",
			"origin", d.Storm.Origin, "gone", d.Storm.Gone, "endpoints", d.Storm.Endpoints)
	}
	if d.News {
		j.count(GoneDisabled)
	}
	return nil
}

// tellAll tells the owners.
func (j *judgement) tellAll(ctx context.Context) {
	for at := range j.changed {
		j.tell(ctx, at)
	}
}

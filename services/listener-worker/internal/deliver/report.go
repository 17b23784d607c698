// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"maps"
	"slices"
	"time"

	"mailpush.internal/pkg/backoff"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// MaxReports is how many reports one call carries at most.
const MaxReports = 1000

// Outcome is what an endpoint has come to.
type Outcome int

// The outcomes.
const (
	// Confirmed means that it has answered the ping.
	Confirmed Outcome = iota
	// Healthy means that it accepts again.
	Healthy
	// Failing means that it does not accept.
	Failing
	// Gone means that there is evidence enough that it is gone.
	Gone
)

// EndpointReport tells what an endpoint has come to.
type EndpointReport struct {
	Claim        hold.Claim
	User         mailbox.User
	Subscription string
	Revision     uint64 // of the subscription the report is about
	Outcome      Outcome
	Reason       string    // what the endpoint said, for people
	Since        time.Time // since when it fails, for Failing
	// Absence is the run of answers that it is not there, for Failing: what the next owner
	// of the subscription goes on from. Zero means that it said something else last.
	Absence pump.Absence
}

// Verdict is what became of a subscription after a report.
type Verdict int

// The verdicts.
const (
	// Unchanged means that the report was not heeded: it is outdated or fenced.
	Unchanged Verdict = iota
	// Kept means that the subscription stays.
	Kept
	// Deleted means that it is no more.
	Deleted
	// Disabled means that nothing is to be pushed until somebody enables it.
	Disabled
	// Held means that it stays although its endpoint is gone: too many of its origin are.
	Held
)

// reporter gathers reports and tells them in groups, one group at a time. Of a
// subscription only the newest is kept.
type reporter struct {
	store    Registry
	waiting  map[reported]EndpointReport
	inFlight []EndpointReport // nil when none are
	at       time.Time
	failures int
}

// reported is whom a report is about.
type reported struct {
	claim        hold.Claim
	subscription string
}

func newReporter(store Registry) *reporter {
	return &reporter{store: store, waiting: make(map[reported]EndpointReport)}
}

// add has a report told, unless a weightier one waits.
func (r *reporter) add(report EndpointReport) {
	of := reported{report.Claim, report.Subscription}
	if before, waits := r.waiting[of]; waits && before.outweighs(report) {
		return
	}
	r.waiting[of] = report
}

// outweighs tells whether a report must be told although there is a newer one: that
// an endpoint wants pushes, or is gone unless it has said something else since, is not
// said again soon, that it fails or works is.
func (r EndpointReport) outweighs(newer EndpointReport) bool {
	if newer.Revision > r.Revision {
		return false
	}
	lasting := r.Outcome == Confirmed || r.Outcome == Gone && !newer.Absence.Since.IsZero()
	passing := newer.Outcome == Failing || newer.Outcome == Healthy
	return newer.Revision < r.Revision || lasting && passing
}

// next is when the next group is due.
func (r *reporter) next() (time.Time, bool) {
	return r.at, r.inFlight == nil && len(r.waiting) > 0
}

// take takes out a group.
func (r *reporter) take() []EndpointReport {
	for of, report := range r.waiting {
		if len(r.inFlight) == MaxReports {
			break
		}
		r.inFlight = append(r.inFlight, report)
		delete(r.waiting, of)
	}
	if len(r.waiting) == 0 {
		r.waiting = make(map[reported]EndpointReport) // a map keeps the room of a whole outage
	}
	return r.inFlight
}

// holds tells whether something of a claim has yet to be told.
func (r *reporter) holds(claims claimSet) bool {
	for of := range r.waiting {
		if claims[of.claim] {
			return true
		}
	}
	return slices.ContainsFunc(r.inFlight, func(report EndpointReport) bool { return claims[report.Claim] })
}

// forget drops what is waiting for the claims.
func (r *reporter) forget(claims claimSet) {
	maps.DeleteFunc(r.waiting, func(of reported, _ EndpointReport) bool { return claims[of.claim] })
}

// report has told what a lane's endpoint has come to.
func (l *Loop) report(lane *lane, report EndpointReport) {
	r := l.reports
	if len(r.waiting) == 0 {
		r.at = later(r.at, time.Now().Add(l.cfg.CommitEvery))
	}
	report.Claim, report.User = lane.box.claim, lane.box.user
	report.Subscription, report.Revision = lane.subscription.ID, lane.subscription.Revision
	r.add(report)
}

// startReport tells what is waiting, when it is due.
func (l *Loop) startReport(now time.Time) {
	r := l.reports
	if at, waits := r.next(); !waits || at.After(now) {
		return
	}
	group := r.take()
	l.beside(func() {
		ctx, cancel := context.WithTimeout(l.ctx, commitTimeout)
		defer cancel()
		verdicts, err := r.store.ReportEndpoints(ctx, group)
		l.loop.Post(func() { l.judged(verdicts, err) })
	})
}

// judged takes in the registry's answer.
func (l *Loop) judged(verdicts []Verdict, err error) {
	r := l.reports
	group := r.inFlight
	r.inFlight = nil
	if err != nil {
		newer := r.waiting
		r.waiting = make(map[reported]EndpointReport, len(group)+len(newer))
		for _, report := range group {
			r.add(report)
		}
		for _, report := range newer {
			r.add(report)
		}
		delay := backoff.Calls().Ceiling(r.failures)
		r.failures++
		r.at = time.Now().Add(delay)
		l.telling.Failed(l.ctx, err, "reports", len(r.waiting))
		return
	}
	r.failures = 0
	l.telling.Worked(l.ctx)
	defer l.settleDrains()
	for i, verdict := range verdicts[:min(len(verdicts), len(group))] {
		l.heed(group[i], verdict)
	}
}

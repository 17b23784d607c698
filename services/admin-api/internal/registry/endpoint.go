// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import "time"

// Endpoint is what is known of the place pushes go to.
type Endpoint struct {
	Origin       string    // scheme://host:port
	Confirmed    bool      // it has said that it wants pushes
	FailingSince time.Time // zero when it is not known to fail
	LastError    string    // why it is not well
	// AbsentSince is since when it has said nothing but that it is not there, and AbsentSeen
	// when it did so last; zero when it has said something else.
	AbsentSince, AbsentSeen time.Time
}

// Outcome is what an endpoint has come to, as its worker reports.
type Outcome string

const (
	// OutcomeConfirmed means that it has answered the ping: it wants pushes.
	OutcomeConfirmed Outcome = "confirmed"
	// OutcomeHealthy means that it accepts pushes again.
	OutcomeHealthy Outcome = "healthy"
	// OutcomeFailing means that it accepts no pushes.
	OutcomeFailing Outcome = "failing"
	// OutcomeGone means that it is gone, if the report says that there is evidence.
	OutcomeGone Outcome = "gone"
)

// Report tells what an endpoint has come to.
type Report struct {
	Claim        Claim
	Subscription string
	Revision     uint64 // the revision of the subscription that it is about
	Outcome      Outcome
	Reason       string
	Since        time.Time // of OutcomeFailing
	// AbsentSince and AbsentSeen are those of the Endpoint, of OutcomeFailing.
	AbsentSince, AbsentSeen time.Time
	Proven                  bool // there is evidence, of OutcomeGone
}

// Weighed is the report as it counts. Workers of an earlier release say that an endpoint
// is gone after a single answer, without evidence: that it fails is all that is known.
func (r Report) Weighed() Report {
	if r.Outcome == OutcomeGone && !r.Proven {
		r.Outcome, r.AbsentSince, r.AbsentSeen = OutcomeFailing, time.Time{}, time.Time{}
	}
	return r
}

// Verdict is what became of a subscription after a report.
type Verdict string

const (
	// VerdictNone means that nothing was changed: the claim is fenced, the report
	// outdated, or the subscription unknown.
	VerdictNone Verdict = "none"
	// VerdictKept means that the subscription stays.
	VerdictKept Verdict = "kept"
	// VerdictDeleted means that its endpoint is gone, and so is the subscription: a replica
	// of an earlier release has removed it.
	VerdictDeleted Verdict = "deleted"
	// VerdictDisabled means that nothing is pushed to it until it is enabled.
	VerdictDisabled Verdict = "disabled"
	// VerdictHeld means that it goes on although its endpoint is gone.
	VerdictHeld Verdict = "held"
)

// Departure is what became of a subscription whose endpoint is gone.
type Departure struct {
	Verdict Verdict
	News    bool  // it has been disabled just now
	Storm   Storm // of VerdictHeld
}

// Storm is an origin so many of whose endpoints say they are gone that it is more
// likely to be broken than they are to have left.
type Storm struct {
	Origin          string
	Gone, Endpoints int64
	News            bool // nobody has been told of it within GoneWindow
}

const (
	// GoneWindow is for how long an endpoint that is gone counts.
	GoneWindow = 10 * time.Minute
	// HeldWindow is for how long one counts that is kept although it is gone, unless it is
	// known to work before that. It is asked again within an hour.
	HeldWindow = 24 * time.Hour
	// GoneKept is for how long a subscription whose endpoint is gone is kept, disabled, with
	// its cursor and its user's login. It can be restored meanwhile.
	GoneKept = 7 * 24 * time.Hour
	// FailingLimit is for how long an endpoint may fail.
	FailingLimit = 5 * 24 * time.Hour
)

// HoldGone says whether an endpoint that says it is gone is kept: when, of its
// origin's endpoints, so many have said so within GoneWindow or are kept for that
// reason, itself among them.
func HoldGone(gone, endpoints int64) bool {
	const fewest, percent = 10, 20
	return gone >= fewest && gone*100 > endpoints*percent
}

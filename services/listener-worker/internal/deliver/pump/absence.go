// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"fmt"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// Absence is a run of answers that say the endpoint is not there, with no other answer
// among them. The zero value is no run.
type Absence struct {
	Since time.Time // the first of them
	Last  time.Time // the last of them
}

// absence is the run so far. What is not remembered, as by another owner, makes it
// shorter, never longer.
type absence struct {
	Absence

	final time.Time // the first that spoke for good; zero: none did
}

// absent takes in whether an answer that is no acceptance says that the endpoint is not
// there. That there was no answer at all says neither.
func (h *health) absent(policy *Policy, result transport.Result, now time.Time) []Effect {
	switch {
	case result.Class == transport.Gone:
		return h.missed(policy, result, now)
	case h.absence == nil || result.Unanswered:
		return nil
	}
	h.absence, h.told = nil, time.Time{} // whoever knows of the run hears of its end at once
	return append([]Effect{Present{}}, h.tell(now)...)
}

// missed adds an answer to the run, and says that the endpoint is gone once there is
// evidence enough. A run with a long silence in it begins anew: nobody has asked.
func (h *health) missed(policy *Policy, result transport.Result, now time.Time) []Effect {
	var out []Effect
	if h.absence == nil || now.Sub(h.absence.Last) > policy.GoneGap {
		h.absence, h.told = &absence{Absence: Absence{Since: now}}, time.Time{}
		out = append(out, Absent{})
	}
	a := h.absence
	a.Last = now
	if result.Final && a.final.IsZero() {
		a.final = now
	}
	switch {
	case result.Final && now.Sub(a.final) >= policy.GoneApart:
		out = append(out, EndpointGone{Reason: fmt.Sprintf("%s, and so it has since %s", h.reason, stamp(a.final))})
	case now.Sub(a.Since) >= policy.GoneAfter:
		out = append(out, EndpointGone{Reason: fmt.Sprintf("%s, and nothing but that it is not there since %s", h.reason, stamp(a.Since))})
	}
	return append(out, h.tell(now)...)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// run is the run of answers that say the endpoint is not there.
func (h *health) run() Absence {
	if h.absence == nil {
		return Absence{}
	}
	return h.absence.Absence
}

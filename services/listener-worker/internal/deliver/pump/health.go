// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"strings"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	failuresToTell = 3 // in a row, before anybody is told
	tellEvery      = time.Hour
	maxReason      = 200 // bytes that are remembered of what an endpoint answered
)

// health is how an endpoint has fared lately.
type health struct {
	failures int       // in a row
	since    time.Time // of the first of them, or what was known before; zero: none
	told     time.Time // when Failing was told last
	known    bool      // somebody takes it for failing
	reason   string    // of the last failure
	class    transport.Class
	barred   bool     // the turn that is waited for does not come, for that reason
	absence  *absence // nil unless it said last that it is not there
}

// ill is how the endpoint has fared, for more to be noted.
func (p *Pump) ill() *health {
	if p.health == nil {
		p.health = new(health)
	}
	return p.health
}

// note remembers what was answered last.
func (h *health) note(reason string) { h.reason = strings.Clone(clip(reason, maxReason)) }

// failed counts a failure and tells of it when it is time to.
func (h *health) failed(policy *Policy, result transport.Result, now time.Time) []Effect {
	h.failures++
	h.class = result.Class
	h.note(result.Detail)
	if h.since.IsZero() {
		h.since = now
	}
	out := h.absent(policy, result, now)
	if h.failures >= failuresToTell {
		out = append(out, h.tell(now)...)
	}
	return out
}

// bar takes in that nobody can be asked where the endpoint is.
func (h *health) bar(reason string, now time.Time) []Effect {
	h.barred, h.class = true, transport.Retry
	h.note(reason)
	if h.since.IsZero() {
		h.since = now
	}
	return h.tell(now)
}

// tell says that the endpoint fails, when it is time to say so again.
func (h *health) tell(now time.Time) []Effect {
	if now.Sub(h.told) < tellEvery {
		return nil
	}
	h.told, h.known = now, true
	return []Effect{Failing{Since: h.since, Reason: h.reason, Absence: h.run()}}
}

// succeeded forgets all failures, and tells so whom they were told.
func (p *Pump) succeeded() []Effect {
	h := p.health
	p.health = nil
	var out []Effect
	if h != nil && h.absence != nil {
		out = append(out, Present{})
	}
	if h != nil && h.known {
		out = append(out, Healthy{})
	}
	return out
}

// forget has the endpoint be one that nothing is known of, except by those who were told
// of the one before: they hear when it works.
func (h *health) forget() *health {
	if h == nil || !h.known {
		return nil
	}
	return &health{known: true}
}

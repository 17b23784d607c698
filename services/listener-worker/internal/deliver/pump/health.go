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
	barred   bool      // the turn that is waited for does not come, for that reason
}

// note remembers what was answered last.
func (h *health) note(reason string) { h.reason = strings.Clone(clip(reason, maxReason)) }

// failed counts a failure and tells of it when it is time to.
func (h *health) failed(result transport.Result, now time.Time) []Effect {
	h.failures++
	h.note(result.Detail)
	if h.since.IsZero() {
		h.since = now
	}
	var out []Effect
	if result.Class == transport.Gone {
		out = append(out, EndpointGone{Reason: h.reason})
	}
	if h.failures >= failuresToTell {
		out = append(out, h.tell(now)...)
	}
	return out
}

// bar takes in that nobody can be asked where the endpoint is.
func (h *health) bar(reason string, now time.Time) []Effect {
	h.barred = true
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
	return []Effect{Failing{Since: h.since, Reason: h.reason}}
}

// succeeded forgets all failures, and tells so whom they were told.
func (h *health) succeeded() []Effect {
	known := h.known
	*h = health{}
	if known {
		return []Effect{Healthy{}}
	}
	return nil
}

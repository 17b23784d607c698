// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"strings"
	"time"
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
}

// note remembers what was answered last.
func (h *health) note(reason string) { h.reason = strings.Clone(clip(reason, maxReason)) }

// failed counts a failure and tells of it when it is time to.
func (h *health) failed(result Result, now time.Time) []Effect {
	h.failures++
	h.note(result.Detail)
	if h.since.IsZero() {
		h.since = now
	}
	var out []Effect
	if result.Class == Gone {
		out = append(out, EndpointGone{Reason: h.reason})
	}
	if h.failures >= failuresToTell && now.Sub(h.told) >= tellEvery {
		h.told, h.known = now, true
		out = append(out, Failing{Since: h.since, Reason: h.reason})
	}
	return out
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package term

import (
	"strconv"
	"strings"
	"time"

	"mailpush.internal/services/scheduler/internal/assign"
)

// debounce is how long changes of membership are collected: a rolling start is one
// change and not one for each worker.
const debounce = 300 * time.Millisecond

// pace holds passes back while the membership is changing. Reports of known members
// are never held back for longer, and the very first workers of a cluster not at all.
type pace struct {
	known   bool
	members string    // as of the last pass that was let through
	since   time.Time // of the first change after it; zero when there is none
}

// wait says how long to wait before a pass.
func (p *pace) wait(entries []assign.Entry, now time.Time) time.Duration {
	members, planned := fingerprint(entries)
	if p.known && planned && members != p.members {
		if p.since.IsZero() {
			p.since = now
		}
		if left := debounce - now.Sub(p.since); left > 0 {
			return left
		}
	}
	p.known, p.members, p.since = true, members, time.Time{}
	return 0
}

// fingerprint says who takes part, and whether anybody has anything yet.
func fingerprint(entries []assign.Entry) (members string, planned bool) {
	var out strings.Builder
	for _, entry := range entries {
		planned = planned || entry.Want != nil
		if entry.Worker != nil {
			out.WriteString(entry.ID + " " + strconv.FormatBool(entry.Worker.GetDraining()) + "\n")
		}
	}
	return out.String(), planned
}

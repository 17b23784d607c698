// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package moment has a point in time in eight bytes, where a [time.Time] takes 24: every
// idle mailbox remembers a few. Invariant: between two moments of one process lies what
// its monotonic clock says, also when somebody has set the wall clock meanwhile; seen
// from a later time, a moment has the wall clock's reading that belongs to that time.
package moment

import "time"

// Moment is a point in time, for use within the process that it was made in: later ones
// are greater. Zero is no time at all and earlier than all others, as the zero [time.Time]
// is.
type Moment int64

// origin is what moments count from, in nanoseconds: so long ago that all that is of
// interest comes after it, and lies above zero.
//
//nolint:gochecknoglobals // a constant that Go cannot express
var origin = time.Now().Add(-100 * 365 * 24 * time.Hour)

// Of is the moment of a time.
func Of(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	return max(Moment(t.Sub(origin)), 1)
}

// IsZero tells whether there is no time.
func (m Moment) IsZero() bool { return m == 0 }

// Add is the moment that comes so much later.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d) }

// Sub is how much later than another moment this one is.
func (m Moment) Sub(other Moment) time.Duration { return time.Duration(m - other) }

// Time is the moment as seen from now: the zero time for none.
func (m Moment) Time(now time.Time) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return now.Add(m.Sub(Of(now)))
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package backoff says how long to wait after a failure. It is pure, so that what waits
// can be simulated: whoever asks brings the chance. Invariant: a wait is never longer than
// the bound, however many failures there were.
package backoff

import "time"

// Backoff is a wait that grows: from Min, doubled with each failure, up to Max.
type Backoff struct{ Min, Max time.Duration }

// Calls is how calls to other services are repeated.
func Calls() Backoff { return Backoff{250 * time.Millisecond, 5 * time.Second} }

// Joins is how joining the cluster, and what must follow soon after it, is repeated.
func Joins() Backoff { return Backoff{200 * time.Millisecond, 10 * time.Second} }

// Ceiling is the longest wait after a number of failures before this one.
func (b Backoff) Ceiling(failures int) time.Duration {
	ceiling := min(b.Min, b.Max)
	for ; failures > 0 && ceiling < b.Max; failures-- {
		if ceiling > b.Max/2 {
			return b.Max
		}
		ceiling *= 2
	}
	return ceiling
}

// Full is a wait drawn from zero to the ceiling; draw is from [0, 1).
func (b Backoff) Full(failures int, draw float64) time.Duration {
	return Scale(b.Ceiling(failures), draw)
}

// Half is a wait drawn from the upper half of the ceiling; draw is from [0, 1).
func (b Backoff) Half(failures int, draw float64) time.Duration {
	ceiling := b.Ceiling(failures)
	return ceiling/2 + Scale(ceiling-ceiling/2, draw)
}

// Scale is a part of a wait.
func Scale(d time.Duration, part float64) time.Duration { return time.Duration(float64(d) * part) }

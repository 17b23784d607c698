// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"math/rand/v2"
	"time"
)

// Policy is how long pumps wait. The zero value is usable; one policy serves all.
type Policy struct {
	// Min and Max bound the ceiling of the back-off after a temporary failure; the
	// wait is drawn evenly from zero to the ceiling. Zero means 1 s and 5 min.
	Min, Max time.Duration
	// LongMax bounds the ceiling after a failure that takes a person to mend; it
	// starts at Max and the wait is at least half of it. Zero means 1 h.
	LongMax time.Duration
	// FetchTimeout is how long a read of the mailbox may take. Zero means 2 min.
	FetchTimeout time.Duration
	// Random draws from [0, 1); nil means math/rand.
	Random func() float64
}

const (
	firstWait           = time.Second
	mostWait            = 5 * time.Minute
	mostLongWait        = time.Hour
	defaultFetchTimeout = 2 * time.Minute
)

func withDefaults(p Policy) Policy {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	set(&p.Min, firstWait)
	set(&p.Max, mostWait)
	set(&p.LongMax, mostLongWait)
	set(&p.FetchTimeout, defaultFetchTimeout)
	if p.Random == nil {
		p.Random = rand.Float64 // jitter, no secret
	}
	return p
}

// wait is how long to stay away after the given number of failures in a row.
func (p *Policy) wait(result Result, failures int) time.Duration {
	var wait time.Duration
	switch result.Class {
	case OK:
		return 0
	case Retry:
		wait = scale(doubled(p.Min, p.Max, failures), p.Random())
	case PermanentItem, Gone, Auth, Misconfigured:
		ceiling := doubled(p.Max, p.LongMax, failures)
		wait = ceiling/2 + scale(ceiling/2, p.Random())
	}
	return max(wait, min(result.After, p.LongMax))
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// doubled is low, doubled for each failure after the first, at most high.
func doubled(low, high time.Duration, failures int) time.Duration {
	for ; failures > 1 && low < high; failures-- {
		low *= 2
	}
	return min(low, high)
}

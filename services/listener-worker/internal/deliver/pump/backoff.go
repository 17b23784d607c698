// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"cmp"
	"math/rand/v2"
	"time"

	"mailpush.internal/pkg/backoff"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// Policy is how long pumps wait. The zero value is usable; one policy serves all.
type Policy struct {
	// Min and Max bound the ceiling of the back-off after a temporary failure; the
	// wait is drawn evenly from zero to the ceiling. Zero means 2 s and 15 min, by
	// which an endpoint that fails for an hour is tried about 15 times.
	Min, Max time.Duration
	// LongMin and LongMax bound the ceiling after a failure that takes a person to
	// mend; the wait is at least half of it. Zero means 5 min and 1 h. LongMax also
	// bounds how long an endpoint may ask to be left alone.
	LongMin, LongMax time.Duration
	// Window is how long mail gathers after a push, doubled up to MaxWindow while more
	// keeps coming, and back to Window after Quiet without a push. Zero means 1 s,
	// 30 s and 60 s.
	Window, MaxWindow, Quiet time.Duration
	// FetchTimeout is how long a read of the mailbox may take. Zero means 2 min.
	FetchTimeout time.Duration
	// Random draws from [0, 1); nil means math/rand.
	Random func() float64
}

const (
	firstWait           = 2 * time.Second
	mostWait            = 15 * time.Minute
	firstLongWait       = 5 * time.Minute
	mostLongWait        = time.Hour
	firstWindow         = time.Second
	mostWindow          = 30 * time.Second
	quietTime           = time.Minute
	defaultFetchTimeout = 2 * time.Minute
)

func withDefaults(p Policy) Policy {
	p.Min, p.Max = cmp.Or(p.Min, firstWait), cmp.Or(p.Max, mostWait)
	p.LongMin, p.LongMax = cmp.Or(p.LongMin, firstLongWait), cmp.Or(p.LongMax, mostLongWait)
	p.Window, p.MaxWindow = cmp.Or(p.Window, firstWindow), cmp.Or(p.MaxWindow, mostWindow)
	p.Quiet = cmp.Or(p.Quiet, quietTime)
	p.FetchTimeout = cmp.Or(p.FetchTimeout, defaultFetchTimeout)
	if p.Random == nil {
		p.Random = rand.Float64 // jitter, no secret
	}
	return p
}

// wait is how long to stay away after the given number of failures in a row. It is
// drawn from what comes after the least there is to wait: many endpoints may have been
// told the same time to come back.
func (p *Policy) wait(result transport.Result, failures int) time.Duration {
	var least, span time.Duration
	switch result.Class {
	case transport.OK:
		return 0
	case transport.Retry, transport.PermanentItem:
		span = backoff.Backoff{Min: p.Min, Max: p.Max}.Ceiling(failures - 1)
	case transport.Gone, transport.Auth, transport.Misconfigured:
		ceiling := backoff.Backoff{Min: p.LongMin, Max: p.LongMax}.Ceiling(failures - 1)
		least, span = ceiling/2, ceiling-ceiling/2
	}
	return max(least, p.after(result)) + backoff.Scale(span, p.Random())
}

// after is how long an endpoint wants to be left alone.
func (p *Policy) after(result transport.Result) time.Duration { return min(result.After, p.LongMax) }

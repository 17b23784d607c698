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
	// bounds how long an endpoint may ask to be left alone, and the ceiling while it says
	// that it is not there.
	LongMin, LongMax time.Duration
	// Window is how long mail gathers after a push, doubled up to MaxWindow while more
	// keeps coming, and back to Window after Quiet without a push. Zero means 1 s,
	// 30 s and 60 s.
	Window, MaxWindow, Quiet time.Duration
	// GoneApart is how far apart two answers must be that the endpoint is gone for good,
	// GoneAfter how long it must have said nothing but that it is not there; either is
	// evidence that it is gone. Zero means 1 min and 24 h. GoneGap is how long nobody may
	// have asked it in between (6 h).
	GoneApart, GoneAfter, GoneGap time.Duration
	// RefusedFor is how long an item must have been refused before it is put to the test
	// whether another is accepted (10 min), and RefusedLong how long before it is stepped
	// over without that (24 h).
	RefusedFor, RefusedLong time.Duration
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
	defaultGoneApart    = time.Minute
	defaultGoneAfter    = 24 * time.Hour
	defaultGoneGap      = 6 * time.Hour
	defaultRefusedFor   = 10 * time.Minute
	defaultRefusedLong  = 24 * time.Hour
	defaultFetchTimeout = 2 * time.Minute
)

func withDefaults(p Policy) Policy {
	p.Min, p.Max = cmp.Or(p.Min, firstWait), cmp.Or(p.Max, mostWait)
	p.LongMin, p.LongMax = cmp.Or(p.LongMin, firstLongWait), cmp.Or(p.LongMax, mostLongWait)
	p.Window, p.MaxWindow = cmp.Or(p.Window, firstWindow), cmp.Or(p.MaxWindow, mostWindow)
	p.Quiet = cmp.Or(p.Quiet, quietTime)
	p.GoneApart, p.GoneAfter = cmp.Or(p.GoneApart, defaultGoneApart), cmp.Or(p.GoneAfter, defaultGoneAfter)
	p.GoneGap = cmp.Or(p.GoneGap, defaultGoneGap)
	p.RefusedFor, p.RefusedLong = cmp.Or(p.RefusedFor, defaultRefusedFor), cmp.Or(p.RefusedLong, defaultRefusedLong)
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
	case transport.Gone:
		if !result.Final { // a proxy that is being deployed says so for seconds
			span = backoff.Backoff{Min: p.Min, Max: p.LongMax}.Ceiling(failures - 1)
			break
		}
		least, span = p.long(failures)
	case transport.Retry, transport.PermanentItem:
		span = backoff.Backoff{Min: p.Min, Max: p.Max}.Ceiling(failures - 1)
	case transport.Auth, transport.Misconfigured:
		least, span = p.long(failures)
	}
	return max(least, p.after(result)) + backoff.Scale(span, p.Random())
}

// long is the least there is to wait for what takes a person to mend, and what comes on top.
func (p *Policy) long(failures int) (least, span time.Duration) {
	ceiling := backoff.Backoff{Min: p.LongMin, Max: p.LongMax}.Ceiling(failures - 1)
	return ceiling / 2, ceiling - ceiling/2
}

// after is how long an endpoint wants to be left alone.
func (p *Policy) after(result transport.Result) time.Duration { return min(result.After, p.LongMax) }

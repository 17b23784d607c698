// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package heap chooses how much garbage a worker's process may gather. Most of its life
// a worker waits: then the collector runs early, for what it leaves lying about is
// memory of every idle listener. While much is allocated, as when all listeners of a
// worker log in at once, the collector runs late, for it would take the time that the
// logins need. When that is over, what was needed for it is given back to the system.
//
// Invariants: the choice is a function of samples and their times, [Policy.Next]; the
// system gets memory back once after each storm, and never more often than once a minute.
package heap

import "time"

const (
	// tightPercent is the collector's target while the worker is calm: a quarter of the
	// live heap may be garbage. At the limit of what counts as calm, stormAbove, each
	// second's garbage then has 32 MB marked, about 3 % of one core.
	tightPercent = 25
	// loosePercent is the target in a storm, which is Go's own.
	loosePercent = 100

	// stormAbove is how many bytes are allocated in a second where a storm begins, and
	// calmBelow where it may be over. They lie apart so that a load between them changes
	// nothing.
	stormAbove = 8 << 20
	calmBelow  = 4 << 20

	// calmAfter is how long little must have been allocated until the storm counts as
	// over: the pace of logins leaves pauses.
	calmAfter = 6 * time.Second
	// releaseEvery is the shortest time between two releases. Each costs a collection
	// and has the system take away what the next storm asks for again.
	releaseEvery = time.Minute
)

// Sample is how much the process has allocated since it began, at a time.
type Sample struct {
	Allocated uint64 // bytes
	At        time.Time
}

// Choice is what to do after a sample.
type Choice struct {
	// Percent is the collector's target from now on, as in GOGC.
	Percent int
	// Release says that what is free is to be given back to the system, now.
	Release bool
}

// Policy is what has been seen of a process so far. The zero value has seen nothing: a
// process begins as in a storm, for the first thing a worker does is to log in everywhere.
type Policy struct {
	last     Sample
	calm     bool
	quiet    time.Time // since when little is allocated; zero while much is
	owed     bool      // much was allocated since the last release
	released time.Time // when the system got memory back last; zero: never
}

// Next takes in a sample, later than the one before, and chooses.
func (p *Policy) Next(sample Sample) Choice {
	last := p.last
	p.last = sample
	if !last.At.IsZero() && sample.At.After(last.At) {
		p.observe(float64(sample.Allocated-last.Allocated)/sample.At.Sub(last.At).Seconds(), last.At, sample.At)
	}
	choice := Choice{Percent: loosePercent}
	if p.calm {
		choice.Percent = tightPercent
		choice.Release = p.owed && (p.released.IsZero() || sample.At.Sub(p.released) >= releaseEvery)
	}
	if choice.Release {
		p.owed, p.released = false, sample.At
	}
	return choice
}

// observe takes in how many bytes a second were allocated over a while.
func (p *Policy) observe(rate float64, from, upto time.Time) {
	switch {
	case rate >= calmBelow:
		p.quiet, p.owed = time.Time{}, true
	case p.quiet.IsZero():
		p.quiet = from
	}
	switch {
	case rate > stormAbove:
		p.calm = false
	case !p.quiet.IsZero() && upto.Sub(p.quiet) >= calmAfter:
		p.calm = true
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import "time"

const (
	// probes is how many endpoints one look tries at most: with 64 that wait all are tried
	// within two cool-downs, and an origin that many more share is not stormed.
	probes = 32
	// stall is how long a look waits for a probe before it makes more at once: one
	// endpoint that hangs keeps no other from being tried.
	stall = time.Second
)

// look is what may be tried of an origin until its next cool-down. It begins with one
// probe: if nobody can be reached, there is no second one. Once the origin answers, or
// while it is silent, twice as many may be out, and twice as many again.
type look struct {
	left  int       // probes that may still begin
	out   int       // probes that are out
	width int       // how many may be
	grows time.Time // when the width grows next, if nothing is heard until then
}

// begin lets probes through once more. What is out stays out.
func (l *look) begin(now time.Time) {
	l.left, l.width, l.grows = probes, l.out+1, now.Add(stall)
}

// admits tells whether one more probe may begin.
func (l *look) admits() bool { return l.left > 0 && l.out < l.width }

// spent tells whether nothing more will come of it.
func (l *look) spent() bool { return l.left <= 0 && l.out == 0 }

func (l *look) probe(now time.Time) {
	l.left--
	l.out++
	l.grows = now.Add(stall)
}

// grow lets more be out at once.
func (l *look) grow(now time.Time) {
	l.width, l.grows = min(2*l.width, probes), now.Add(stall)
}

// stalls tells whether probes wait for ones that are out.
func (l *look) stalls() bool { return l.out > 0 && l.left > 0 && l.out >= l.width && l.width < probes }

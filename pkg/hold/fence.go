// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import "time"

// Share of a lease's TTL after the last acknowledged renewal was sent, the right to
// act ends. The rest covers clocks that run at different speeds.
const share = 0.9

// Fence says until when the right to act lasts under a lease. Times are those of a
// clock that runs through a suspend, as durations since any one moment.
//
// It counts from when the last acknowledged renewal was sent: the lease's server
// counts from when it was received, which is later, so the right is over here before
// the keys are gone there. The zero Fence is over.
type Fence struct{ until time.Duration }

// Extend takes in that a renewal sent at a time was acknowledged, with the TTL that
// was granted. A fence never goes back.
func (f *Fence) Extend(sent, ttl time.Duration) {
	f.until = max(f.until, sent+time.Duration(float64(ttl)*share))
}

// Until is when the right to act ends.
func (f *Fence) Until() time.Duration { return f.until }

// Over tells whether it has ended.
func (f *Fence) Over(now time.Duration) bool { return now >= f.until }

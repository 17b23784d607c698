// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"testing"
	"time"
)

// No more connections may ask for a sign of life within the kernel's two seconds than its
// queue has room for, when a mail store has spoken to all of them at once.
func TestSignsOfLifeAreSpread(t *testing.T) {
	t.Parallel()
	const connections, tick, queue = 20_000, 2048 * time.Millisecond, 1000
	due := make(map[int]int) // by ticks
	for range connections {
		signs := newLifeSigns()
		due[int(signs.keepAlive.Idle.Truncate(time.Second)/tick)]++ // the kernel is told whole seconds
		if signs.deadAfter < signs.keepAlive.Idle+probes*signs.keepAlive.Interval {
			t.Fatalf("%+v: some probes do not count", signs)
		}
		if signs.deadAfter > 4*time.Minute {
			t.Fatalf("%+v: a dead peer is found too late", signs)
		}
	}
	for at, n := range due {
		if n > queue {
			t.Errorf("%d connections of %d ask at once, %v after the last word", n, connections, time.Duration(at)*tick)
		}
	}
}

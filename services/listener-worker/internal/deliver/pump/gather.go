// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/moment"
)

// gathering spaces the pushes of a folder. The first mail after a quiet time goes out
// at once; each push that leaves nothing behind opens a window, in which mail gathers
// for the next one. The window doubles while mail keeps coming.
type gathering struct {
	goal   uint32        // up to here it is sent without a window in between
	window time.Duration // the length of the last one; zero: none yet
	until  moment.Moment // its end
}

// aim sets a new goal when the last one is reached: what is pending now.
func (g *gathering) aim(cursor, head uint32) {
	if cursor >= g.goal {
		g.goal = head
	}
}

// open opens the window after a push that reached the goal.
func (g *gathering) open(policy *Policy, now time.Time) {
	began := g.until.Add(-g.window)
	switch {
	case g.window == 0 || moment.Of(now).Sub(began) >= policy.Quiet:
		g.window = policy.Window
	default:
		g.window = min(2*g.window, policy.MaxWindow)
	}
	g.until = moment.Of(now.Add(g.window))
}

// close lets the next push go at once.
func (g *gathering) close() { g.window, g.until = 0, 0 }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"slices"
)

// maxRounds bounds the evening out; what it has not reached by then is too little.
const maxRounds = 32

// even swaps units that may be moved between workers above their fair share and
// workers below it. A swap moves a difference of two weights, which is finer than any
// unit, and takes neither worker past its fair share, so no swap makes anybody under
// or over. It reports whether it swapped anything.
func (b *balancer) even() bool {
	swapped := false
	for range maxRounds {
		order := b.byExcess()
		again := false
		for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
			if b.excessOf(order[i]) <= 0 || b.excessOf(order[j]) >= 0 {
				break
			}
			again = b.swap(order[i], order[j]) || again
		}
		if !again {
			break
		}
		swapped = true
	}
	return swapped
}

func (b *balancer) excessOf(worker int) float64 { return b.load[worker] - b.fair[worker] }

// byExcess returns the workers that take part, by how far they are above their fair
// share for their capacity, the furthest first.
func (b *balancer) byExcess() []int {
	excess := make([]float64, len(b.workers))
	out := make([]int, 0, len(b.workers))
	for i := range b.workers {
		if len(b.movable[i].units) > 0 {
			excess[i] = b.excessOf(i) / b.capacity(i)
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(x, y int) int { return cmp.Or(cmp.Compare(excess[y], excess[x]), cmp.Compare(x, y)) })
	return out
}

// swap makes the one swap between two workers that moves the most load to the lower.
func (b *balancer) swap(high, low int) bool {
	limit := min(b.excessOf(high), -b.excessOf(low))
	from, to := b.from(high), b.from(low)
	bestUp, bestDown, best := 0, 0, 0.0
	down := 0
	for up := 0; up < len(from) && best < limit; up++ {
		heavy := float64(b.units[from[up]].Weight)
		// Both lists descend: the lightest partner that is not too light moves on only.
		for down < len(to) && float64(b.units[to[down]].Weight) >= heavy-limit {
			down++
		}
		for at := down - 1; at >= 0; at-- {
			difference := heavy - float64(b.units[to[at]].Weight)
			if difference <= best {
				break
			}
			if b.swappable(high, low, from[up], to[at]) {
				bestUp, bestDown, best = up, at, difference
				break
			}
		}
	}
	if best == 0 {
		return false
	}
	lighter := to[bestDown]
	b.move(high, bestUp, low)
	at, _ := slices.BinarySearchFunc(b.movable[low].units, lighter, b.heavier)
	b.move(low, at, high)
	return true
}

// swappable tells whether two workers can and have room for each other's units.
func (b *balancer) swappable(high, low, heavy, light int) bool {
	grows := int64(b.units[heavy].Size) - int64(b.units[light].Size)
	return b.can(low, heavy) && b.can(high, light) && b.room[low] >= grows && b.room[high] >= -grows
}

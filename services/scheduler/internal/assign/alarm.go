// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

// Alarm is a reason for an operator to look, in words for a log.
type Alarm string

const (
	// NoCapableWorker says that a shard's backend is run by no live worker.
	NoCapableWorker Alarm = "no capable worker"
	// NoRoom says that all capable workers are filled to their declared capacity.
	NoRoom Alarm = "capable workers are full"
	// MassLoss says that more than massLoss of the workers vanished at once. Whoever
	// is left is filled to its declared capacity and no further.
	MassLoss Alarm = "many workers vanished at once"
)

// massLoss is the part of the workers that may vanish at once without an alarm.
const massLoss = 0.3

// alarms says what is wrong with what was decided, and counts the shards without an
// owner. Their order is fixed.
func (s *state) alarms(workers []Candidate, units []Unit, owners []int) (out []Alarm, unassigned int) {
	capable := make([]bool, len(s.backends))
	for _, worker := range workers {
		for class, can := range worker.Can {
			capable[class] = capable[class] || can && worker.Accepts
		}
	}
	incapable, full := false, false
	for u, owner := range owners {
		if owner == None {
			unassigned++
			can := capable[units[u].Class]
			incapable, full = incapable || !can, full || can
		}
	}
	if incapable {
		out = append(out, NoCapableWorker)
	}
	if full {
		out = append(out, NoRoom)
	}
	if s.lostMany() {
		out = append(out, MassLoss)
	}
	return out, unassigned
}

// lostMany compares those who have vanished of late with all there were. Of workers that
// die at one moment the leases end over a good part of a TTL, and each pass cleans up
// after those it sees, so one look is not enough.
func (s *state) lostMany() bool {
	all := s.in.Vanished
	for _, w := range s.workers {
		if w.alive() {
			all++
		}
	}
	return float64(s.in.Vanished) > massLoss*float64(all)
}

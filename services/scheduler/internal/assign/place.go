// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"slices"

	"mailpush.internal/pkg/shard"
)

// Placement is where a shard stands between workers, for people. Workers are named by id.
type Placement struct {
	// Holder is the live worker that reports to run it, under the newest epoch of those that
	// do; empty when none does.
	Holder string
	// Granted is the live worker that it is granted to; empty when it is to nobody.
	Granted string
	// Releasing are the live workers that have yet to let go of it.
	Releasing []string
	// Capable is true when a live worker that takes shards is capable of its backend, and
	// NoRoom when none of those has room for it.
	Capable, NoRoom bool
}

// Place says where a shard stands. What it makes of the workers' room is what Step would.
func Place(in Input, of shard.ID) Placement {
	s := newState(in)
	class, known := slices.BinarySearch(s.backends, of.Backend)
	if !known || of.Number >= in.Shards {
		return Placement{}
	}
	unit := class*int(in.Shards) + int(of.Number)
	out := Placement{Holder: s.reports(unit), Releasing: s.releasing(unit)}
	if holder := s.holder[unit]; holder != None {
		out.Granted = s.workers[holder].id
	}
	units := s.units()
	workers := s.candidates(units)
	out.Capable = slices.ContainsFunc(workers, func(c Candidate) bool { return c.Accepts && c.Can[class] })
	out.NoRoom = out.Capable && Balance(workers, units)[unit] == None
	return out
}

// reports is the live worker that reports to run a unit under the newest epoch.
func (s *state) reports(unit int) (id string) {
	var newest uint64
	for _, w := range s.workers {
		if held := w.held.get(unit); w.alive() && w.held.has(unit) && held.epoch >= newest {
			id, newest = w.id, held.epoch
		}
	}
	return id
}

// releasing are the live workers that a unit waits for.
func (s *state) releasing(unit int) (ids []string) {
	for _, i := range s.former[unit] {
		if w := s.workers[i]; w.alive() && !s.clearedOf(i, unit) {
			ids = append(ids, w.id)
		}
	}
	return ids
}

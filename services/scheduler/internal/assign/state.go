// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"slices"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// state is an Input taken apart. Shards are units, numbered over all backends.
type state struct {
	in       Input
	backends []string
	workers  []*worker
	// holder is the live worker a unit is granted to, by unit, or None.
	holder []int
	// former lists the other workers, live and gone, that have or had a unit by any
	// record and must be cleared before it is granted.
	former map[int][]int
}

// worker is one entry, with its plan as it will be.
type worker struct {
	id         string
	info       *clusterv1.Worker // nil when gone
	generation uint64            // the newest anybody has seen
	planned    uint64            // the generation of the stored want
	applied    uint64            // the generation of the stored have
	granted    map[int]uint64    // epochs, by unit
	revoked    map[int]revocation
	held       map[int]uint64
}

type revocation struct{ generation, epoch uint64 }

func (w *worker) alive() bool { return w.info != nil }

// acknowledged tells whether the worker has let go of a unit revoked from it.
func (w *worker) acknowledged(unit int) bool {
	_, held := w.held[unit]
	return w.applied >= w.revoked[unit].generation && !held
}

func newState(in Input) *state {
	s := &state{in: in, backends: in.backends(), former: make(map[int][]int)}
	for _, entry := range in.Entries {
		s.workers = append(s.workers, s.worker(entry))
	}
	s.holder = make([]int, len(s.backends)*int(in.Shards))
	for u := range s.holder {
		s.holder[u] = None
	}
	for i, w := range s.workers {
		s.file(i, w)
	}
	return s
}

func (s *state) worker(entry Entry) *worker {
	w := &worker{
		id:   entry.ID,
		info: entry.Worker,
		// A want that was lost and made anew must not look old to its worker.
		generation: max(entry.Want.GetGeneration(), entry.Have.GetGeneration()),
		planned:    entry.Want.GetGeneration(),
		applied:    entry.Have.GetGeneration(),
		granted:    make(map[int]uint64),
		revoked:    make(map[int]revocation),
		held:       make(map[int]uint64),
	}
	for _, set := range entry.Want.GetGranted() {
		s.each(set, func(unit int, epoch uint64) { w.granted[unit] = epoch })
	}
	for _, revoked := range entry.Want.GetRevoked() {
		s.each(revoked.GetShards(), func(unit int, epoch uint64) {
			w.revoked[unit] = revocation{revoked.GetGeneration(), epoch}
		})
	}
	for _, set := range entry.Have.GetHeld() {
		s.each(set, func(unit int, epoch uint64) { w.held[unit] = epoch })
	}
	return w
}

// each calls do for each unit of a set. Shards beyond the last are nobody's.
func (s *state) each(set *mailv1.ShardSet, do func(unit int, epoch uint64)) {
	backend, _ := slices.BinarySearch(s.backends, set.GetBackend())
	for i, shard := range set.GetShards() {
		if shard < s.in.Shards {
			do(backend*int(s.in.Shards)+int(shard), set.GetEpochs()[i])
		}
	}
}

func (s *state) shard(unit int) Shard {
	shards := int(s.in.Shards)
	return Shard{s.backends[unit/shards], uint32(unit % shards)}
}

// file enters a worker's records under their units.
func (s *state) file(i int, w *worker) {
	for unit, epoch := range w.granted {
		if !w.alive() {
			s.former[unit] = append(s.former[unit], i)
			continue
		}
		other := s.holder[unit]
		switch {
		case other == None:
			s.holder[unit] = i
		case s.workers[other].granted[unit] < epoch:
			// Never by our hand. The newer grant stays, the older one is a stray.
			s.holder[unit] = i
			s.former[unit] = append(s.former[unit], other)
		default:
			s.former[unit] = append(s.former[unit], i)
		}
	}
	for unit := range w.revoked {
		s.former[unit] = append(s.former[unit], i)
	}
	for unit := range w.held {
		_, granted := w.granted[unit]
		_, revoked := w.revoked[unit]
		if !granted && !revoked {
			s.former[unit] = append(s.former[unit], i)
		}
	}
}

// candidates are the workers as the balancer sees them.
func (s *state) candidates() []Candidate {
	out := make([]Candidate, len(s.workers))
	for i, w := range s.workers {
		out[i] = Candidate{
			Capacity: w.info.GetCapacity(),
			Can:      make([]bool, len(s.backends)),
			Accepts:  w.alive() && !w.info.GetDraining(),
		}
		for class, backend := range s.backends {
			out[i].Can[class] = slices.Contains(w.info.GetBackends(), backend)
		}
	}
	return out
}

// units are the shards as the balancer sees them. An empty shard weighs something
// too: it costs a watch and a reload, and spreads the users to come.
func (s *state) units() []Unit {
	out := make([]Unit, len(s.holder))
	for u := range out {
		out[u] = Unit{
			Weight:   uint64(s.in.Loads.Listeners[s.shard(u)]) + 1,
			Class:    u / int(s.in.Shards),
			Owner:    s.holder[u],
			Settling: s.holder[u] == None && !s.cleared(u),
		}
	}
	return out
}

// cleared tells whether everybody else has let go of a unit.
func (s *state) cleared(unit int) bool {
	return !slices.ContainsFunc(s.former[unit], func(i int) bool { return !s.clearedOf(i, unit) })
}

// clearedOf tells whether one former holder has let go: gone workers have, by the end
// of their lease, and live ones when they acknowledge the revocation.
func (s *state) clearedOf(i, unit int) bool {
	w := s.workers[i]
	if !w.alive() {
		return true
	}
	_, revoked := w.revoked[unit]
	return revoked && w.acknowledged(unit)
}

// nextEpoch is above every epoch ever granted: those opened at the registry, those
// written here, and, as the revision grows with each grant, those in between.
func (s *state) nextEpoch() uint64 {
	epoch := max(uint64(max(s.in.Revision, 0)), s.in.Loads.MaxEpoch+1)
	for _, w := range s.workers {
		for _, granted := range w.granted {
			epoch = max(epoch, granted+1)
		}
		for _, revoked := range w.revoked {
			epoch = max(epoch, revoked.epoch+1)
		}
		for _, held := range w.held {
			epoch = max(epoch, held+1)
		}
	}
	return epoch
}

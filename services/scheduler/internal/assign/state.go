// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"slices"

	"mailpush.internal/pkg/shard"

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
	// blind tells whether some live worker's plan is unknown.
	blind bool
}

// worker is one entry, with its plan as it will be.
type worker struct {
	id         string
	info       *clusterv1.Worker // nil when gone or unread
	live       bool
	unread     Unread
	generation uint64 // the newest anybody has seen
	planned    uint64 // the generation of the stored want
	applied    uint64 // the generation of the stored have
	granted    holds
	revoked    holds
	held       holds
	damped     bool // lost its lease too often of late
	settling   int  // revoked, and not acknowledged
}

func (w *worker) alive() bool { return w.live }

// frozen tells whether a live worker must be left alone.
func (w *worker) frozen() bool { return w.live && w.unread != Unread{} }

// blind tells whether nobody knows what a live worker was granted.
func (w *worker) blind() bool { return w.live && w.unread.Want }

// acknowledged tells whether the worker has let go of a unit revoked from it.
func (w *worker) acknowledged(revoked hold) bool {
	return w.applied >= revoked.generation && !w.held.has(revoked.unit)
}

// epoch is the highest epoch a worker has or had a unit under, by any record.
func (w *worker) epoch(unit int) uint64 {
	return max(w.granted.get(unit).epoch, w.revoked.get(unit).epoch, w.held.get(unit).epoch)
}

// newest is the highest epoch in a worker's records.
func (w *worker) newest() uint64 {
	return max(w.granted.newest(), w.revoked.newest(), w.held.newest())
}

func newState(in Input) *state {
	s := &state{in: in, backends: in.backends(), former: make(map[int][]int)}
	s.workers = make([]*worker, 0, len(in.Entries))
	for _, entry := range in.Entries {
		s.workers = append(s.workers, s.worker(entry))
	}
	s.holder = slices.Repeat([]int{None}, len(s.backends)*int(in.Shards))
	for i, w := range s.workers {
		s.file(i, w)
	}
	return s
}

func (s *state) worker(entry Entry) *worker {
	w := &worker{
		id:   entry.ID,
		info: entry.Worker, live: entry.live(), unread: entry.Unread,
		// A want that was lost and made anew must not look old to its worker.
		generation: max(entry.Want.GetGeneration(), entry.Have.GetGeneration()),
		planned:    entry.Want.GetGeneration(),
		applied:    entry.Have.GetGeneration(),
		granted:    s.holds(entry.Want.GetGranted()),
		held:       s.holds(entry.Have.GetHeld()),
		damped:     entry.Losses >= flapLosses,
	}
	for _, revoked := range entry.Want.GetRevoked() {
		w.revoked = s.add(w.revoked, revoked.GetShards(), revoked.GetGeneration())
	}
	if w.blind() {
		w.granted = slices.Clone(w.held) // at least
		s.blind = true
	}
	w.revoked = w.revoked.ordered()
	for _, revoked := range w.revoked {
		if !w.acknowledged(revoked) {
			w.settling++
		}
	}
	return w
}

func (s *state) holds(sets []*mailv1.ShardSet) holds {
	n := 0
	for _, set := range sets {
		n += len(set.GetShards())
	}
	out := make(holds, 0, n)
	for _, set := range sets {
		out = s.add(out, set, 0)
	}
	return out.ordered()
}

// add appends the units of a set. Shards beyond the last are nobody's.
func (s *state) add(to holds, set *mailv1.ShardSet, generation uint64) holds {
	backend, _ := slices.BinarySearch(s.backends, set.GetBackend())
	for i, shard := range set.GetShards() {
		if shard < s.in.Shards {
			to = append(to, hold{backend*int(s.in.Shards) + int(shard), set.GetEpochs()[i], generation})
		}
	}
	return to
}

func (s *state) shard(unit int) shard.ID {
	shards := int(s.in.Shards)
	return shard.ID{Backend: s.backends[unit/shards], Number: uint32(unit % shards)}
}

// file enters a worker's records under their units.
func (s *state) file(i int, w *worker) {
	for _, granted := range w.granted {
		s.fileGrant(i, w, granted)
	}
	for _, revoked := range w.revoked {
		s.former[revoked.unit] = append(s.former[revoked.unit], i)
	}
	for unit := range w.strays() {
		s.former[unit] = append(s.former[unit], i)
	}
}

func (s *state) fileGrant(i int, w *worker, granted hold) {
	unit := granted.unit
	if !w.alive() {
		s.former[unit] = append(s.former[unit], i)
		return
	}
	other := s.holder[unit]
	switch {
	case other == None:
		s.holder[unit] = i
	case s.workers[other].granted.get(unit).epoch < granted.epoch:
		// Never by our hand. The newer grant stays, the older one is a stray.
		s.holder[unit] = i
		s.former[unit] = append(s.former[unit], other)
	default:
		s.former[unit] = append(s.former[unit], i)
	}
}

// strays yields the units a worker runs beside its plan. All three lists ascend, so
// one look at each is enough.
func (w *worker) strays() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		granted := w.granted
		for _, held := range w.held {
			for len(granted) > 0 && granted[0].unit < held.unit {
				granted = granted[1:]
			}
			planned := len(granted) > 0 && granted[0].unit == held.unit || w.revoked.has(held.unit)
			if !planned && !yield(held.unit) {
				return
			}
		}
	}
}

// candidates are the workers as the balancer sees them, with these units.
func (s *state) candidates(units []Unit) []Candidate {
	out := make([]Candidate, len(s.workers))
	can := make([]bool, len(s.workers)*len(s.backends))
	for i, w := range s.workers {
		out[i] = Candidate{
			Capacity: w.info.GetCapacity(),
			Damped:   w.damped,
			Most:     uint64(w.info.GetCapacity()),
			Busy:     w.busy(units),
			Can:      can[i*len(s.backends) : (i+1)*len(s.backends)],
			Accepts:  w.alive() && !w.frozen() && !w.info.GetDraining(),
			Frozen:   w.frozen(),
		}
		for class, backend := range s.backends {
			out[i].Can[class] = slices.Contains(w.info.GetBackends(), backend)
		}
	}
	return out
}

// busy is the size of what a worker still runs beside what it was granted.
func (w *worker) busy(units []Unit) uint64 {
	var size uint64
	for _, revoked := range w.revoked {
		if !w.acknowledged(revoked) {
			size += units[revoked.unit].Size
		}
	}
	for unit := range w.strays() {
		size += units[unit].Size
	}
	return size
}

// units are the shards as the balancer sees them. An empty shard weighs something
// too: it costs a watch and a reload, and spreads the users to come. It takes no room.
func (s *state) units() []Unit {
	out := make([]Unit, len(s.holder))
	for u := range out {
		out[u] = Unit{
			Weight:   1,
			Class:    u / int(s.in.Shards),
			Owner:    s.holder[u],
			Settling: s.holder[u] == None && !s.cleared(u),
		}
	}
	// Walking the loads takes a tenth of the time of looking each shard up.
	backend, first := "", 0
	for shard, listeners := range s.in.Loads.Listeners {
		if shard.Backend != backend || backend == "" {
			class, _ := slices.BinarySearch(s.backends, shard.Backend)
			backend, first = shard.Backend, class*int(s.in.Shards)
		}
		if shard.Number < s.in.Shards {
			unit := &out[first+int(shard.Number)]
			unit.Weight, unit.Size = uint64(listeners)+1, uint64(listeners)
		}
	}
	return out
}

// cleared tells whether everybody else has let go of a unit.
func (s *state) cleared(unit int) bool {
	if s.blind && !s.planned(unit) {
		return false
	}
	return !slices.ContainsFunc(s.former[unit], func(i int) bool { return !s.clearedOf(i, unit) })
}

// planned tells whether a live worker has a unit by a plan that was read: then it was
// granted to nobody else.
func (s *state) planned(unit int) bool {
	if holder := s.holder[unit]; holder != None && !s.workers[holder].blind() {
		return true
	}
	return slices.ContainsFunc(s.former[unit], func(i int) bool {
		w := s.workers[i]
		return w.alive() && !w.blind() && (w.revoked.has(unit) || w.granted.has(unit))
	})
}

// clearedOf tells whether one former holder has let go: gone workers have, by the end
// of their lease, and live ones when they acknowledge the revocation.
func (s *state) clearedOf(i, unit int) bool {
	w := s.workers[i]
	if !w.alive() {
		return true
	}
	at, revoked := w.revoked.find(unit)
	return revoked && w.acknowledged(w.revoked[at])
}

// nextEpoch is above every epoch ever granted: those opened at the registry, those
// written here, and, as the revision grows with each grant, those in between.
func (s *state) nextEpoch() uint64 {
	epoch := max(uint64(max(s.in.Revision, 0)), s.in.Loads.MaxEpoch+1)
	for _, w := range s.workers {
		epoch = max(epoch, w.newest()+1)
	}
	return epoch
}

// backends returns all backends anybody has anything to do with, sorted.
func (in Input) backends() []string {
	var out []string
	see := func(backend string) {
		if i, seen := slices.BinarySearch(out, backend); !seen {
			out = slices.Insert(out, i, backend)
		}
	}
	for _, entry := range in.Entries {
		for _, backend := range entry.Worker.GetBackends() {
			see(backend)
		}
		for _, set := range entry.Want.GetGranted() {
			see(set.GetBackend())
		}
		for _, revocation := range entry.Want.GetRevoked() {
			see(revocation.GetShards().GetBackend())
		}
		for _, set := range entry.Have.GetHeld() {
			see(set.GetBackend())
		}
	}
	last := ""
	for shard := range in.Loads.Listeners {
		if shard.Backend != last || last == "" {
			last = shard.Backend
			see(last)
		}
	}
	return out
}

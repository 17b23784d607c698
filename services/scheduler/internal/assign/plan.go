// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"maps"
	"slices"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

const (
	// maxTouched workers take part in one update: with up to three comparisons each
	// and two for the leader, etcd's 128 are enough. One grant touches its owner, who
	// let go of the shard and the last of those who are gone, and never so many.
	maxTouched = 40
	// maxSettling is how many of a worker's shards are in transit at a time, so that
	// a large worker is relieved in batches and each listener is dark for one only.
	maxSettling = 128
)

// planner turns decisions into updates. It changes the state as it goes.
type planner struct {
	*state

	plan    Plan
	epoch   uint64
	current Update
	touched map[int]bool // the workers of the current update
}

// begin makes room in the current update for a change that touches these workers.
func (p *planner) begin(workers ...int) {
	fresh := 0
	for _, i := range workers {
		if !p.touched[i] {
			fresh++
		}
	}
	if len(p.touched)+fresh > maxTouched {
		p.flush()
	}
	if p.touched == nil {
		p.touched = make(map[int]bool)
		p.current = Update{Put: make(map[string]*clusterv1.Want)}
	}
	for _, i := range workers {
		p.touched[i] = true
	}
}

// rewrite says that a worker's want changes with the current update.
func (p *planner) rewrite(i int) *worker {
	w := p.workers[i]
	if _, rewritten := p.current.Put[w.id]; !rewritten {
		w.generation++
		p.current.Put[w.id] = nil
	}
	return w
}

// flush ends the current update.
func (p *planner) flush() {
	if p.touched == nil {
		return
	}
	for i := range p.touched {
		w := p.workers[i]
		if _, rewritten := p.current.Put[w.id]; rewritten {
			p.current.Put[w.id] = p.want(w)
		}
	}
	for _, names := range []*[]string{&p.current.Alive, &p.current.Gone, &p.current.Unmoved} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	p.plan.Updates = append(p.plan.Updates, p.current)
	p.current, p.touched = Update{}, nil
}

// revokeStrays takes away what a live worker holds beside the plan.
func (p *planner) revokeStrays() {
	for _, unit := range slices.Sorted(maps.Keys(p.former)) {
		for _, i := range p.former[unit] {
			if w := p.workers[i]; w.alive() && !w.frozen() && !w.revoked.has(unit) {
				p.take(i, unit, max(w.granted.get(unit).epoch, w.held.get(unit).epoch))
			}
		}
	}
}

// take puts a unit on a worker's revoke list.
func (p *planner) take(i, unit int, epoch uint64) {
	p.begin(i)
	w := p.rewrite(i)
	w.granted = w.granted.without(unit)
	w.revoked = w.revoked.with(hold{unit, epoch, w.generation})
	w.settling++
	p.plan.Revoked++
}

// grant gives every unit that everybody else has let go of to its owner.
func (p *planner) grant(owners []int) {
	// One owner after the other, so that an update touches few workers.
	ready := make([][]int, len(p.workers))
	for unit, owner := range owners {
		switch {
		case owner == None:
		case p.holder[unit] == None, p.holder[unit] == owner && p.refused(owner, unit):
			if p.cleared(unit) {
				ready[owner] = append(ready[owner], unit)
			}
		}
	}
	for owner, units := range ready {
		for _, unit := range units {
			p.give(unit, owner)
		}
	}
}

// refused tells whether a worker does not run a unit although it knows that it
// should, which is so when the registry has seen a higher epoch.
func (p *planner) refused(i, unit int) bool {
	w := p.workers[i]
	return p.in.Retry && !w.frozen() && !w.held.has(unit) && w.applied >= w.planned && w.granted.get(unit).epoch <= p.in.Loads.MaxEpoch
}

// give grants a unit, on condition that all is as it was read: the new owner lives,
// the gone are gone, and nobody who acknowledged has reported anything since.
func (p *planner) give(unit, owner int) {
	former := p.lastly(unit)
	p.begin(append([]int{owner}, former...)...)
	add(&p.current.Alive, p.workers[owner].id)
	for _, i := range former {
		if w := p.workers[i]; w.alive() {
			// The only way off a revoke list: in one step with the new grant.
			w = p.rewrite(i)
			w.revoked = w.revoked.without(unit)
			add(&p.current.Unmoved, w.id)
		} else {
			add(&p.current.Gone, w.id)
		}
	}
	if p.holder[unit] == owner {
		add(&p.current.Unmoved, p.workers[owner].id)
	}
	w := p.rewrite(owner)
	w.granted = w.granted.with(hold{unit: unit, epoch: p.epoch})
	p.plan.Granted++
}

// lastly are the former holders a grant of a unit depends on: all that live, and of the
// gone the last one. It was granted the unit on condition that those before it were
// gone, and no id comes back; after many crashes there are more of them than fit into
// a transaction.
func (p *planner) lastly(unit int) []int {
	var out []int
	last := None
	for _, i := range p.former[unit] {
		switch w := p.workers[i]; {
		case w.alive():
			out = append(out, i)
		case last == None || w.epoch(unit) > p.workers[last].epoch(unit):
			last = i
		}
	}
	if last != None {
		out = append(out, last)
	}
	return out
}

// add appends a name that is not the last one already; flush removes the others.
func add(names *[]string, name string) {
	if n := len(*names); n == 0 || (*names)[n-1] != name {
		*names = append(*names, name)
	}
}

// revoke takes units from those who should not own them any more, even for nobody.
func (p *planner) revoke(owners []int) {
	for unit, owner := range owners {
		holder := p.holder[unit]
		if holder == None || owner == holder {
			continue
		}
		if w := p.workers[holder]; w.settling < maxSettling {
			p.take(holder, unit, w.granted.get(unit).epoch)
		}
	}
}

// cleanUp removes what gone workers left behind. It is of use only as the memory of the
// highest epoch, until a live worker's plan has one as high.
func (p *planner) cleanUp() {
	var planned uint64
	for _, w := range p.workers {
		if w.alive() {
			planned = max(planned, w.granted.newest(), w.revoked.newest())
		}
	}
	var remove []string
	for _, w := range p.workers {
		if !w.alive() && w.unread == (Unread{}) && w.newest() <= planned {
			remove = append(remove, w.id)
		}
	}
	for names := range slices.Chunk(remove, maxTouched) {
		p.plan.Updates = append(p.plan.Updates, Update{Remove: names})
	}
}

// want is a worker's plan as it is stored.
func (p *planner) want(w *worker) *clusterv1.Want {
	out := &clusterv1.Want{Generation: w.generation, Granted: p.sets(w.granted)}
	byGeneration := make(map[uint64]holds)
	for _, revoked := range w.revoked {
		byGeneration[revoked.generation] = append(byGeneration[revoked.generation], revoked)
	}
	for _, generation := range slices.Sorted(maps.Keys(byGeneration)) {
		for _, set := range p.sets(byGeneration[generation]) {
			out.Revoked = append(out.Revoked, &clusterv1.Revocation{Generation: generation, Shards: set})
		}
	}
	return out
}

// sets groups units by backend, ascending.
func (p *planner) sets(units holds) []*mailv1.ShardSet {
	var out []*mailv1.ShardSet
	for _, hold := range units {
		shard := p.shard(hold.unit)
		if len(out) == 0 || out[len(out)-1].GetBackend() != shard.Backend {
			out = append(out, &mailv1.ShardSet{Backend: shard.Backend})
		}
		set := out[len(out)-1]
		set.Shards = append(set.Shards, shard.Number)
		set.Epochs = append(set.Epochs, hold.epoch)
	}
	return out
}

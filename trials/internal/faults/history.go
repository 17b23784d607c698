// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Hold is a time in which a worker held a shard.
type Hold struct {
	Worker string // its id in the cluster
	Shard  uint32
	Epoch  uint64
	Began  time.Time
	Ended  time.Time // zero: not yet
	Told   time.Time // when the worker said so; zero: it had no chance to
}

// Claim is one claim that the registry was asked to accept.
type Claim struct {
	Open      bool // whether it was to be opened; else something was to be stored under it
	Shard     uint32
	Epoch     uint64
	Accepted  bool
	Known     bool // false: it may have been accepted, the answer was an error
	Call, End time.Time
}

// History is what a run was seen to do. It is safe for concurrent use.
type History struct {
	mu     sync.Mutex
	holds  []Hold
	claims []Claim
	stood  map[string]time.Time // until when workers stood still, the last time
	stages []stage
}

// stage is a time in which the same is expected.
type stage struct {
	name  string
	began time.Time
	bound time.Duration // no shard may be without a holder for longer
}

// Stage begins a stage.
func (h *History) Stage(name string, bound time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stages = append(h.stages, stage{name, time.Now(), bound})
}

// StoodStill notes until when a worker could not have said anything.
func (h *History) StoodStill(worker string, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stood == nil {
		h.stood = make(map[string]time.Time)
	}
	h.stood[worker] = until
}

// Began notes that a hold began.
func (h *History) Began(hold Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = append(h.holds, hold)
}

// Ended notes the end of a hold, and when the worker told it.
func (h *History) Ended(worker string, shard uint32, epoch uint64, at, told time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.holds {
		hold := &h.holds[i]
		if hold.Worker == worker && hold.Shard == shard && hold.Epoch == epoch && hold.Ended.IsZero() {
			hold.Ended, hold.Told = at, told
		}
	}
}

// Died ends everything a worker held: it was killed.
func (h *History) Died(worker string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.holds {
		if hold := &h.holds[i]; hold.Worker == worker && hold.Ended.IsZero() {
			hold.Ended = at
		}
	}
}

// Judged notes what the registry said to a claim.
func (h *History) Judged(claim Claim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claims = append(h.claims, claim)
}

// Holders returns who holds each shard now.
func (h *History) Holders() map[uint32][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[uint32][]string)
	for _, hold := range h.holds {
		if hold.Ended.IsZero() {
			out[hold.Shard] = append(out[hold.Shard], hold.Worker)
		}
	}
	return out
}

// Verdict is what a history shows.
type Verdict struct {
	Overlaps []string                 // of holds
	Late     []string                 // holds whose end was noticed long after it
	Unopened []string                 // holds that began before the registry had opened their epoch
	Stale    []string                 // epochs accepted after a higher one
	Gaps     []string                 // shards nobody held for longer than the stage's bound
	Longest  map[string]time.Duration // that a shard was without a holder, by stage
	Holds    int
	Claims   int
	// Linear is whether the registry's answers are those of one register for each
	// shard that holds the newest epoch. Unknown means that there was no time to see.
	Linear porcupine.CheckResult
}

// Err is nil when the history shows nothing bad.
func (v *Verdict) Err() error {
	if len(v.Overlaps)+len(v.Late)+len(v.Unopened)+len(v.Stale)+len(v.Gaps) == 0 && v.Linear == porcupine.Ok {
		return nil
	}
	return fmt.Errorf("overlapping holds %v; ends noticed late %v; epochs not opened %v; stale epochs accepted %v; "+
		"shards left alone %v; registry linearizable: %v", v.Overlaps, v.Late, v.Unopened, v.Stale, v.Gaps, v.Linear)
}

// Judge looks at all that was noted until now. No shard may have been without a
// holder for longer than a stage allows, once it has had one.
func (h *History) Judge() *Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := &Verdict{
		Longest: make(map[string]time.Duration), Late: h.late(), Unopened: unopened(h.holds, h.claims),
		Holds: len(h.holds), Claims: len(h.claims), Stale: staleEpochs(h.claims), Linear: linear(h.claims),
	}
	byShard := make(map[uint32][]Hold)
	for _, hold := range h.holds {
		byShard[hold.Shard] = append(byShard[hold.Shard], hold)
	}
	now := time.Now()
	for _, shard := range slices.Sorted(maps.Keys(byShard)) {
		v.look(shard, byShard[shard], now, h.stages)
	}
	return v
}

// tellWithin is how soon after its end a worker has to say that a hold has ended. Most
// ends are those of the right to act; a worker that does not see them acts on.
const tellWithin = 2 * time.Second

// late names holds whose worker was not killed and did not stand still, and told their
// end long after it.
func (h *History) late() []string {
	var out []string
	for _, hold := range h.holds {
		end := hold.Ended
		if stood := h.stood[hold.Worker]; stood.After(end) {
			end = stood
		}
		if by := hold.Told.Sub(end); !hold.Told.IsZero() && by > tellWithin {
			out = append(out, fmt.Sprintf("shard %d: %s, %v late", hold.Shard, hold.Worker, by))
		}
	}
	return out
}

// unopened names holds whose epoch nobody had asked the registry to open, or it had
// refused, when they began.
func unopened(holds []Hold, claims []Claim) []string {
	type grant struct {
		shard uint32
		epoch uint64
	}
	opened := make(map[grant]time.Time) // the first call
	for _, claim := range claims {
		at := grant{claim.Shard, claim.Epoch}
		if first, known := opened[at]; claim.Open && claim.Accepted && claim.Known && (!known || claim.Call.Before(first)) {
			opened[at] = claim.Call
		}
	}
	var out []string
	for _, hold := range holds {
		if first, known := opened[grant{hold.Shard, hold.Epoch}]; !known || hold.Began.Before(first) {
			out = append(out, fmt.Sprintf("shard %d: %s, epoch %d", hold.Shard, hold.Worker, hold.Epoch))
		}
	}
	return out
}

// look goes through the holds of one shard in the order they began.
func (v *Verdict) look(shard uint32, holds []Hold, now time.Time, stages []stage) {
	slices.SortStableFunc(holds, func(a, b Hold) int { return a.Began.Compare(b.Began) })
	last := holds[0]
	for _, hold := range holds[1:] {
		end := last.Ended
		if end.IsZero() {
			end = now
		}
		if hold.Began.Before(end) && hold.Worker != last.Worker {
			v.Overlaps = append(v.Overlaps, fmt.Sprintf("shard %d: %s until %s, %s from %s", shard,
				last.Worker, end.Format(time.StampMicro), hold.Worker, hold.Began.Format(time.StampMicro)))
		}
		v.gap(shard, hold.Began.Sub(end), end, stages)
		if hold.Ended.IsZero() || hold.Ended.After(end) {
			last = hold
		}
	}
}

// gap takes in that nobody held a shard for so long.
func (v *Verdict) gap(shard uint32, gap time.Duration, began time.Time, stages []stage) {
	var in stage
	for _, stage := range stages {
		if !stage.began.After(began) {
			in = stage
		}
	}
	v.Longest[in.name] = max(v.Longest[in.name], gap)
	if gap > in.bound {
		v.Gaps = append(v.Gaps, fmt.Sprintf("shard %d for %v (%s: %v)", shard, gap, in.name, in.bound))
	}
}

// staleEpochs names claims that were accepted although a higher epoch had been opened
// before they were made.
func staleEpochs(claims []Claim) []string {
	var out []string
	opened := make(map[uint32]uint64)
	ends := slices.Clone(claims)
	slices.SortFunc(ends, func(a, b Claim) int { return a.End.Compare(b.End) })
	calls := slices.Clone(claims)
	slices.SortFunc(calls, func(a, b Claim) int { return a.Call.Compare(b.Call) })
	for _, claim := range calls {
		for len(ends) > 0 && ends[0].End.Before(claim.Call) {
			if before := ends[0]; before.Open && before.Accepted && before.Known {
				opened[before.Shard] = max(opened[before.Shard], before.Epoch)
			}
			ends = ends[1:]
		}
		if claim.Accepted && claim.Known && claim.Epoch < opened[claim.Shard] {
			out = append(out, fmt.Sprintf("shard %d: %d after %d", claim.Shard, claim.Epoch, opened[claim.Shard]))
		}
	}
	return out
}

// judgeFor bounds the search for an order of the registry's answers.
const judgeFor = time.Minute

// linear looks for an order of the claims of each shard in which a register that
// holds the newest epoch would have answered as the registry did.
func linear(claims []Claim) porcupine.CheckResult {
	operations := make([]porcupine.Operation, 0, len(claims))
	for i, claim := range claims {
		end := claim.End.UnixNano()
		if !claim.Known {
			end = 1<<63 - 1 // it may take effect at any time, or never
		}
		operations = append(operations, porcupine.Operation{ClientId: i, Input: claim, Call: claim.Call.UnixNano(), Output: claim, Return: end})
	}
	return porcupine.CheckOperationsTimeout(register(), operations, judgeFor)
}

func register() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byShard := make(map[uint32][]porcupine.Operation)
			for _, operation := range history {
				claim, _ := operation.Input.(Claim)
				byShard[claim.Shard] = append(byShard[claim.Shard], operation)
			}
			return slices.Collect(maps.Values(byShard))
		},
		Init: func() []any { return []any{uint64(0)} },
		Step: func(state, input, _ any) []any {
			newest, _ := state.(uint64)
			claim, _ := input.(Claim)
			return claim.answers(newest)
		},
		Equal: func(a, b any) bool { return a == b },
	}
	return model.ToModel()
}

// answers returns the states of the register after a claim, none when the answer is
// not one that the register could have given.
func (c Claim) answers(newest uint64) []any {
	after := newest
	if c.Open {
		after = max(newest, c.Epoch)
	}
	switch accepts := c.Epoch >= newest; {
	case !c.Known && accepts:
		return []any{newest, after}
	case !c.Known:
		return []any{newest}
	case c.Accepted != accepts:
		return nil
	case accepts:
		return []any{after}
	default:
		return []any{newest}
	}
}

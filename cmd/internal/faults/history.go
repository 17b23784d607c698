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
}

// Began notes that a hold began.
func (h *History) Began(hold Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = append(h.holds, hold)
}

// Ended notes the end of a hold.
func (h *History) Ended(worker string, shard uint32, epoch uint64, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.holds {
		hold := &h.holds[i]
		if hold.Worker == worker && hold.Shard == shard && hold.Epoch == epoch && hold.Ended.IsZero() {
			hold.Ended = at
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
	Overlaps []string // of holds
	Stale    []string // epochs accepted after a higher one
	Gaps     []string // shards nobody held for longer than the bound
	Longest  time.Duration
	Holds    int
	Claims   int
	// Linear is whether the registry's answers are those of one register for each
	// shard that holds the newest epoch. Unknown means that there was no time to see.
	Linear porcupine.CheckResult
}

// Err is nil when the history shows nothing bad.
func (v *Verdict) Err() error {
	if len(v.Overlaps)+len(v.Stale)+len(v.Gaps) == 0 && v.Linear == porcupine.Ok {
		return nil
	}
	return fmt.Errorf("overlapping holds %v; stale epochs accepted %v; shards left alone %v; registry linearizable: %v",
		v.Overlaps, v.Stale, v.Gaps, v.Linear)
}

// Judge looks at all that was noted until now. No shard may have been without a
// holder for longer than bound, once it has had one.
func (h *History) Judge(bound time.Duration) *Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := &Verdict{Holds: len(h.holds), Claims: len(h.claims), Stale: staleEpochs(h.claims), Linear: linear(h.claims)}
	byShard := make(map[uint32][]Hold)
	for _, hold := range h.holds {
		byShard[hold.Shard] = append(byShard[hold.Shard], hold)
	}
	now := time.Now()
	for _, shard := range slices.Sorted(maps.Keys(byShard)) {
		v.look(shard, byShard[shard], now, bound)
	}
	return v
}

// look goes through the holds of one shard in the order they began.
func (v *Verdict) look(shard uint32, holds []Hold, now time.Time, bound time.Duration) {
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
		gap := hold.Began.Sub(end)
		v.Longest = max(v.Longest, gap)
		if gap > bound {
			v.Gaps = append(v.Gaps, fmt.Sprintf("shard %d for %v", shard, gap))
		}
		if hold.Ended.IsZero() || hold.Ended.After(end) {
			last = hold
		}
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

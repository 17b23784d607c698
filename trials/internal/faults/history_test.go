// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"
	"time"
)

// second is a moment in a made-up history.
func second(n float64) time.Time { return time.Unix(0, int64(n*1e9)) }

func opened(epoch uint64, accepted bool, call, end float64) Claim {
	return Claim{Open: true, Shard: 1, Epoch: epoch, Accepted: accepted, Known: true, Call: second(call), End: second(end)}
}

func stored(epoch uint64, accepted bool, call, end float64) Claim {
	claim := opened(epoch, accepted, call, end)
	claim.Open = false
	return claim
}

func held(worker string, epoch uint64, began, ended float64) Hold {
	return Hold{Worker: worker, Shard: 1, Epoch: epoch, Began: second(began), Ended: second(ended), Told: second(ended)}
}

// told is a hold whose end was told later.
func told(worker string, epoch uint64, began, ended, told float64) Hold {
	hold := held(worker, epoch, began, ended)
	hold.Told = second(told)
	return hold
}

// Whoever judges must see what is wrong, and nothing else.
func TestVerdict(t *testing.T) {
	t.Parallel()
	early := func(epochs ...uint64) (out []Claim) { // all opened before any hold
		for _, epoch := range epochs {
			out = append(out, opened(epoch, true, -1, -0.5))
		}
		return out
	}
	lost := opened(5, false, 1, 2)
	lost.Known = false
	for name, test := range map[string]struct {
		holds  []Hold
		claims []Claim
		bad    bool
	}{
		"one after the other": {
			holds:  []Hold{held("a", 1, 0, 2), held("b", 2, 2.1, 4), held("a", 3, 4, 5)},
			claims: []Claim{opened(1, true, -1, 0), stored(1, true, 1, 2), opened(2, true, 2, 2.1), stored(1, false, 3, 4), opened(3, true, 4, 5)},
		},
		"an overlap":                   {holds: []Hold{held("a", 1, 0, 2), held("b", 2, 1.9, 4)}, claims: early(1, 2), bad: true},
		"an overlap behind another":    {holds: []Hold{held("a", 1, 0, 9), held("a", 2, 1, 2), held("b", 3, 3, 4)}, claims: early(1, 2, 3), bad: true},
		"nobody for a while":           {holds: []Hold{held("a", 1, 0, 2), held("b", 2, 11, 14)}, claims: early(1, 2)},
		"nobody for too long":          {holds: []Hold{held("a", 1, 0, 2), held("b", 2, 13, 14)}, claims: early(1, 2), bad: true},
		"nobody, at another stage":     {holds: []Hold{held("a", 1, 0, 102), held("b", 2, 113, 114)}, claims: early(1, 2)},
		"nobody for too long then":     {holds: []Hold{held("a", 1, 0, 102), held("b", 2, 123, 124)}, claims: early(1, 2), bad: true},
		"an end that is told soon":     {holds: []Hold{told("a", 1, 0, 2, 3.9)}, claims: early(1)},
		"an end that is told late":     {holds: []Hold{told("a", 1, 0, 2, 4.1)}, claims: early(1), bad: true},
		"told late after a pause":      {holds: []Hold{told("paused", 1, 0, 2, 33.9)}, claims: early(1)},
		"told late all the same":       {holds: []Hold{told("paused", 1, 0, 2, 34.1)}, claims: early(1), bad: true},
		"no epoch is opened":           {holds: []Hold{held("a", 1, 0, 2)}, bad: true},
		"another epoch is opened":      {holds: []Hold{held("a", 2, 0, 2)}, claims: early(1), bad: true},
		"the epoch is opened later":    {holds: []Hold{held("a", 1, 0, 2)}, claims: []Claim{opened(1, true, 1, 2)}, bad: true},
		"the epoch is not opened":      {holds: []Hold{held("a", 1, 0, 2)}, claims: []Claim{opened(1, false, -1, 0), opened(2, true, -3, -2)}, bad: true},
		"a stale epoch is opened":      {claims: []Claim{opened(2, true, 0, 1), opened(1, true, 2, 3)}, bad: true},
		"a stale epoch stores":         {claims: []Claim{opened(2, true, 0, 1), stored(1, true, 2, 3)}, bad: true},
		"the newest epoch is refused":  {claims: []Claim{opened(2, true, 0, 1), stored(2, false, 2, 3)}, bad: true},
		"two at the same time":         {claims: []Claim{opened(2, true, 0, 3), stored(1, true, 1, 2)}},
		"an answer that was lost":      {claims: []Claim{lost, opened(4, false, 3, 4)}},
		"an answer that had no effect": {claims: []Claim{lost, opened(4, true, 3, 4), stored(4, true, 5, 6)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := History{stages: []stage{{"one", second(-9), 10 * time.Second}, {"another", second(100), 20 * time.Second}}}
			h.StoodStill("paused", second(32))
			for _, hold := range test.holds {
				h.Began(Hold{Worker: hold.Worker, Shard: hold.Shard, Epoch: hold.Epoch, Began: hold.Began})
				h.Ended(hold.Worker, hold.Shard, hold.Epoch, hold.Ended, hold.Told)
			}
			for _, claim := range test.claims {
				h.Judged(claim)
			}
			verdict := h.Judge()
			if err := verdict.Err(); (err != nil) != test.bad {
				t.Errorf("verdict: %v", err)
			}
		})
	}
}

func TestDeathEndsWhatWasHeld(t *testing.T) {
	t.Parallel()
	var h History
	h.listen([]byte(`{"msg":"hold began","worker":"a","shards":[1,2],"epochs":[5,5],"at":"2026-01-01T00:00:00Z"}`))
	h.listen([]byte(`{"time":"2026-01-01T00:00:02Z","msg":"hold ended","worker":"a","shards":[2],"epochs":[5],"at":"2026-01-01T00:00:01Z"}`))
	h.listen([]byte(`no JSON`))
	if holders := h.Holders(); len(holders) != 1 || len(holders[1]) != 1 {
		t.Errorf("holders %v", holders)
	}
	if late := h.holds[1].Told.Sub(h.holds[1].Ended); late != time.Second {
		t.Errorf("told %v after it ended", late)
	}
	h.Died("a", second(9))
	if holders := h.Holders(); len(holders) != 0 {
		t.Errorf("holders %v", holders)
	}
}

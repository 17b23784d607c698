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
	return Hold{Worker: worker, Shard: 1, Epoch: epoch, Began: second(began), Ended: second(ended)}
}

// Whoever judges must see what is wrong, and nothing else.
func TestVerdict(t *testing.T) {
	t.Parallel()
	lost := opened(5, false, 1, 2)
	lost.Known = false
	for name, test := range map[string]struct {
		holds  []Hold
		claims []Claim
		bad    bool
	}{
		"one after the other": {
			holds:  []Hold{held("a", 1, 0, 2), held("b", 2, 2.1, 4), held("a", 3, 4, 5)},
			claims: []Claim{opened(1, true, 0, 1), stored(1, true, 1, 2), opened(2, true, 2, 3), stored(1, false, 3, 4)},
		},
		"an overlap":                   {holds: []Hold{held("a", 1, 0, 2), held("b", 2, 1.9, 4)}, bad: true},
		"an overlap behind another":    {holds: []Hold{held("a", 1, 0, 9), held("a", 2, 1, 2), held("b", 3, 3, 4)}, bad: true},
		"nobody for too long":          {holds: []Hold{held("a", 1, 0, 2), held("b", 2, 13, 14)}, bad: true},
		"a stale epoch is opened":      {claims: []Claim{opened(2, true, 0, 1), opened(1, true, 2, 3)}, bad: true},
		"a stale epoch stores":         {claims: []Claim{opened(2, true, 0, 1), stored(1, true, 2, 3)}, bad: true},
		"the newest epoch is refused":  {claims: []Claim{opened(2, true, 0, 1), stored(2, false, 2, 3)}, bad: true},
		"two at the same time":         {claims: []Claim{opened(2, true, 0, 3), stored(1, true, 1, 2)}},
		"an answer that was lost":      {claims: []Claim{lost, opened(4, false, 3, 4)}},
		"an answer that had no effect": {claims: []Claim{lost, opened(4, true, 3, 4), stored(4, true, 5, 6)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h History
			for _, hold := range test.holds {
				h.Began(Hold{Worker: hold.Worker, Shard: hold.Shard, Epoch: hold.Epoch, Began: hold.Began})
				h.Ended(hold.Worker, hold.Shard, hold.Epoch, hold.Ended)
			}
			for _, claim := range test.claims {
				h.Judged(claim)
			}
			verdict := h.Judge(10 * time.Second)
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
	h.listen([]byte(`{"msg":"hold ended","worker":"a","shards":[2],"epochs":[5],"at":"2026-01-01T00:00:01Z"}`))
	h.listen([]byte(`no JSON`))
	if holders := h.Holders(); len(holders) != 1 || len(holders[1]) != 1 {
		t.Errorf("holders %v", holders)
	}
	h.Died("a", second(9))
	if holders := h.Holders(); len(holders) != 0 {
		t.Errorf("holders %v", holders)
	}
}

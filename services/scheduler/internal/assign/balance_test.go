// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/scheduler/internal/assign"
)

func any1() assign.Candidate {
	return assign.Candidate{Capacity: 1, Can: []bool{true, true}, Accepts: true}
}

func units(owner int, weights ...uint64) []assign.Unit {
	out := make([]assign.Unit, len(weights))
	for i, weight := range weights {
		out[i] = assign.Unit{Weight: weight, Size: weight, Owner: owner}
	}
	return out
}

func ofClass(class int, weights ...uint64) []assign.Unit {
	out := units(assign.None, weights...)
	for i := range out {
		out[i].Class = class
	}
	return out
}

func TestBalance(t *testing.T) {
	t.Parallel()
	large, draining, first, small, busy, damped := any1(), any1(), any1(), any1(), any1(), any1()
	small.Most, busy.Most, busy.Busy, damped.Damped = 5, 5, 5, true
	large.Capacity, draining.Accepts, first.Can = 3, false, []bool{true, false}
	smallDraining := small
	smallDraining.Accepts = false
	settling := assign.Unit{Weight: 1, Owner: assign.None, Settling: true}
	for name, c := range map[string]struct {
		workers []assign.Candidate
		units   []assign.Unit
		want    []int
	}{
		"nobody":                       {nil, units(assign.None, 1, 1), []int{assign.None, assign.None}},
		"the heaviest first":           {[]assign.Candidate{any1(), any1()}, units(assign.None, 2, 2, 3, 5), []int{1, 0, 1, 0}},
		"by capacity":                  {[]assign.Candidate{any1(), large}, units(assign.None, 1, 1, 1, 1), []int{1, 0, 1, 1}},
		"what is kept stays":           {[]assign.Candidate{any1(), any1()}, append(units(1, 4, 4), units(assign.None, 1, 1)...), []int{1, 1, 0, 0}},
		"a newcomer is filled":         {[]assign.Candidate{any1(), any1()}, units(0, 1, 1, 1, 1, 1, 1), []int{1, 1, 1, 0, 0, 0}},
		"one worker's excess is shed":  {[]assign.Candidate{any1(), any1()}, append(units(0, 4, 4, 4, 4, 1, 1), units(1, 2, 2, 2, 2)...), []int{1, 0, 0, 0, 0, 0, 1, 1, 1, 1}},
		"within the band":              {[]assign.Candidate{any1(), any1()}, append(units(0, 50, 4), units(1, 50)...), []int{0, 0, 1}},
		"no use in moving":             {[]assign.Candidate{any1(), any1()}, append(units(0, 1, 1), units(1, 1)...), []int{0, 0, 1}},
		"a drain goes to the others":   {[]assign.Candidate{draining, any1()}, units(0, 1, 1), []int{1, 1}},
		"a drain without others waits": {[]assign.Candidate{draining, draining}, units(0, 1, 1), []int{0, 0}},
		"up to its most":               {[]assign.Candidate{smallDraining}, units(0, 3, 3), []int{0, assign.None}},
		"one newcomer's share a time":  {[]assign.Candidate{any1(), any1(), any1(), any1()}, units(0, 1, 1, 1, 1, 1, 1, 1, 1), []int{1, 1, 0, 0, 0, 0, 0, 0}},
		"nothing new for a drain":      {[]assign.Candidate{draining}, units(assign.None, 1), []int{assign.None}},
		"only the capable": {
			[]assign.Candidate{first, any1()},
			append(ofClass(1, 1, 1), append(ofClass(0, 1), ofClass(2, 1)...)...),
			[]int{1, 1, 0, assign.None},
		},
		"no choice beside orphans": {
			[]assign.Candidate{any1(), any1()},
			append(units(0, 1, 1, 1, 1, 1, 1), units(assign.None, 1)...),
			[]int{0, 0, 0, 0, 0, 0, 1},
		},
		"nobody is filled beyond its most": {
			[]assign.Candidate{small, any1()}, units(assign.None, 3, 3, 3, 3, 3), []int{0, 1, 1, 1, 1},
		},
		"what fits nowhere has no owner":   {[]assign.Candidate{small}, units(assign.None, 9, 3, 2, 1), []int{assign.None, 0, 0, assign.None}},
		"the smallest that is enough goes": {[]assign.Candidate{small, any1()}, units(0, 3, 1, 2), []int{0, 1, 0}},
		"and stays when there is no room":  {[]assign.Candidate{small, small}, append(units(0, 3, 1, 2), units(1, 5)...), []int{0, assign.None, 0, 1}},
		"room is made by letting go":       {[]assign.Candidate{busy}, units(assign.None, 1), []int{assign.None}},
		"one that flaps gets a tenth":      {[]assign.Candidate{damped, any1()}, units(assign.None, slices.Repeat([]uint64{1}, 11)...), []int{1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		"and all where there is no other":  {[]assign.Candidate{damped}, units(assign.None, 1, 1), []int{0, 0}},
		"what is on its way counts": {
			[]assign.Candidate{any1(), any1()},
			append(units(0, 1, 1, 1), settling, settling, settling),
			[]int{0, 0, 0, 1, 1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, assign.Balance(c.workers, c.units)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOneUserMoreMovesNothing(t *testing.T) {
	t.Parallel()
	f := fleet{workers: slices.Repeat([]assign.Candidate{any1()}, 3), units: units(assign.None, slices.Repeat([]uint64{1}, 1024)...)}
	f = f.own(f.balance())
	for u := range f.units {
		f.units[u].Weight++
		if moves := f.moves(f.balance()); moves > 0 {
			t.Fatalf("%d moves after %d registrations", moves, u+1)
		}
	}
}

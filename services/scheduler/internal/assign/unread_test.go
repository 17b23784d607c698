// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"maps"
	"testing"

	"mailpush.internal/services/scheduler/internal/assign"
)

// Each case breaks a value of the first of three workers, crashes the second, has a
// fourth join, and mends the value again.
func TestWorkerWithABrokenValueIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken assign.Unread
		// waiting is how many of the crashed worker's two shards wait for the mending.
		waiting int
	}{
		"worker": {assign.Unread{Worker: true}, 0},
		"have":   {assign.Unread{Have: true}, 0},
		"want":   {assign.Unread{Want: true}, 2},
		"all":    {assign.Unread{Worker: true, Want: true, Have: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			first, second := s.join(10, "imapidle"), s.join(10, "imapidle")
			s.join(10, "imapidle")
			settled(t, s)
			before := maps.Clone(first.running)
			s.spoil(first.id, c.broken)
			if plan := s.pass(); len(plan.Updates) != 0 || len(plan.Alarms) != 0 {
				t.Errorf("the breaking alone leads to %+v", plan)
			}
			s.crash(second)
			s.join(10, "imapidle")
			settled(t, s)
			s.spoil(first.id, c.broken) // again, if its report has mended it
			if !maps.Equal(first.running, before) {
				t.Errorf("the one left alone ran %v, now %v", before, first.running)
			}
			if got := len(s.owners()); got != shards-c.waiting {
				t.Errorf("%d shards are run, want all but %d", got, c.waiting)
			}
			s.mend(first.id)
			settled(t, s)
			if got := len(s.owners()); got != shards || s.wronged != "" {
				t.Errorf("once mended, %d shards are run, and a leader %s", got, s.wronged)
			}
		})
	}
}

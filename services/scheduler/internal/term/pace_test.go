// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package term

import (
	"testing"
	"time"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// members are entries of live workers; those with an upper-case name have a plan and
// those with a "-" behind them drain.
func members(names ...string) []assign.Entry {
	var out []assign.Entry
	for _, name := range names {
		entry := assign.Entry{ID: name, Worker: &clusterv1.Worker{Draining: name[len(name)-1] == '-'}}
		if name[0] < 'a' {
			entry.Want = &clusterv1.Want{}
		}
		out = append(out, entry)
	}
	return out
}

func TestPaceCollectsChangesOfMembership(t *testing.T) {
	t.Parallel()
	type look struct {
		after time.Duration
		who   []assign.Entry
		want  time.Duration
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, looks := range map[string][]look{
		"the first look of a term": {{ms(0), members("A", "B"), 0}},
		"the first workers of all": {{ms(0), members(), 0}, {ms(10), members("a"), 0}, {ms(20), members("a", "b"), 0}},
		"nothing changes":          {{ms(0), members("A"), 0}, {ms(1), members("A"), 0}},
		"a join waits": {
			{ms(0), members("A"), 0}, {ms(10), members("A", "b"), ms(300)},
			{ms(110), members("A", "b"), ms(200)}, {ms(310), members("A", "b"), 0}, {ms(320), members("A", "b"), 0},
		},
		"more joins wait no longer": {
			{ms(0), members("A"), 0}, {ms(10), members("A", "b"), ms(300)},
			{ms(290), members("A", "b", "c"), ms(20)}, {ms(310), members("A", "b", "c"), 0},
		},
		"the next change waits anew": {
			{ms(0), members("A"), 0}, {ms(10), members("A", "b"), ms(300)}, {ms(310), members("A", "b"), 0},
			{ms(400), members("A"), ms(300)},
		},
		"what was taken back is no change": {
			{ms(0), members("A"), 0}, {ms(10), members("A", "b"), ms(300)}, {ms(20), members("A"), 0},
			{ms(400), members("A", "c"), ms(300)},
		},
		"a drain is a change": {{ms(0), members("A"), 0}, {ms(1), members("A-"), ms(300)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start, p := time.Now(), pace{}
			for i, look := range looks {
				if got := p.wait(look.who, start.Add(look.after)); got != look.want {
					t.Errorf("look %d: waits %v, want %v", i, got, look.want)
				}
			}
		})
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"

	"mailpush.internal/pkg/cluster/clustertest"
)

// A change of the plan counts for a leader's only if its key, the oldest, came with it.
func TestTermsKnowTheLeadersChanges(t *testing.T) {
	t.Parallel()
	key := func(name string, created int64) clustertest.Change {
		return clustertest.Change{Key: "/m/" + name, Created: created}
	}
	type transactions [][]clustertest.Change
	candidates := transactions{{key("leader/a", 5)}, {key("leader/b", 7)}, {key("worker/w", 8)}, {key("have/w", 9)}}
	for name, test := range map[string]struct {
		then transactions
		bad  int
	}{
		"nobody plans":                 {},
		"the leader plans":             {then: transactions{{key("leader/a", 5), key("want/w", 10)}}},
		"the leader removes":           {then: transactions{{key("leader/a", 5), key("want/w", 0), key("have/w", 0)}}},
		"its successor plans":          {then: transactions{{key("leader/a", 0)}, {key("leader/b", 7), key("want/w", 10)}}},
		"a candidate plans":            {then: transactions{{key("leader/b", 7), key("want/w", 10)}}, bad: 1},
		"no leader plans":              {then: transactions{{key("want/w", 10)}}, bad: 1},
		"the key comes apart":          {then: transactions{{key("leader/a", 5)}, {key("want/w", 10)}}, bad: 1},
		"a deposed leader removes":     {then: transactions{{key("leader/a", 0)}, {key("leader/a", 11), key("want/w", 0)}}, bad: 1},
		"nobody leads":                 {then: transactions{{key("leader/a", 0), key("leader/b", 0)}, {key("want/w", 10)}}, bad: 1},
		"a deposed leader plans twice": {then: transactions{{key("leader/a", 0)}, {key("want/w", 10)}, {key("want/w", 10)}}, bad: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			terms := newTerms("/m/")
			for _, changes := range append(candidates[:4:4], test.then...) {
				terms.take(changes)
			}
			if len(terms.bad) != test.bad {
				t.Errorf("noted %v, want %d", terms.bad, test.bad)
			}
		})
	}
}

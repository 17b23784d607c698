// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"mailpush.internal/pkg/cluster/clustertest"
)

// terms looks at each transaction that etcd has stored, and notes every change of the
// plan that did not come in one with the oldest candidate's key: it was not made by
// whoever led at that moment.
type terms struct {
	leaders, wants string // the prefixes
	cancel         context.CancelFunc
	work           sync.WaitGroup

	candidates map[string]int64 // when each key was made
	changes    int              // of the plan
	bad        []error
}

func newTerms(prefix string) *terms {
	prefix = strings.TrimRight(prefix, "/")
	return &terms{leaders: prefix + "/leader/", wants: prefix + "/want/", candidates: make(map[string]int64)}
}

// watchTerms begins before anybody leads, as what is there then is not judged.
func watchTerms(endpoints []string, prefix string) *terms {
	t := newTerms(prefix)
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.work.Go(func() {
		if err := clustertest.Follow(ctx, endpoints, strings.TrimSuffix(t.leaders, "leader/"), t.take); err != nil && ctx.Err() == nil {
			t.bad = append(t.bad, err)
		}
	})
	return t
}

// close ends the watch and returns what was noted.
func (t *terms) close() error {
	t.cancel()
	t.work.Wait()
	bad := t.bad
	t.bad = nil
	return errors.Join(bad...)
}

// take takes in one transaction.
func (t *terms) take(changes []clustertest.Change) {
	written := make(map[string]bool)
	var planned []string
	for _, change := range changes {
		switch {
		case strings.HasPrefix(change.Key, t.wants):
			planned = append(planned, change.Key)
		case !strings.HasPrefix(change.Key, t.leaders):
		case change.Created == 0:
			delete(t.candidates, change.Key)
		default:
			t.candidates[change.Key] = change.Created
			written[change.Key] = true
		}
	}
	if len(planned) == 0 {
		return
	}
	t.changes++
	if leader := t.oldest(); !written[leader] {
		t.bad = append(t.bad, fmt.Errorf("%v changed without the leader's key %q", planned, leader))
	}
}

// oldest is the key of whoever leads; empty when nobody does.
func (t *terms) oldest() string {
	var oldest string
	for key, created := range t.candidates {
		if oldest == "" || created < t.candidates[oldest] {
			oldest = key
		}
	}
	return oldest
}

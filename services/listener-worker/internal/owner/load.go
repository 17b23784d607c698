// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver"
)

const (
	maxLoads     = 4   // calls for shards at once
	loadShards   = 256 // shards of one call; fewer when calls fail, down to one
	loadTimeout  = 30 * time.Second
	shrinkByBits = 2 // each failure divides the shards of a call by four
)

// load is one call for some shards of one backend.
type load struct {
	backend  string
	open     bool // their epochs are to be opened first
	failures int
	claims   []deliver.Claim
}

// startLoads reads the shards that need it. Shards that failed together are tried in
// smaller groups, so that one that cannot be read does not hold up the others.
func (t *tenure) startLoads() {
	type kind struct {
		backend  string
		open     bool
		failures int
	}
	groups := make(map[kind][]*shard)
	now := time.Now()
	for at, s := range t.shards {
		needed := s.phase == opening || s.phase == running && s.changed
		if needed && !s.loading && !s.notUntil.After(now) {
			k := kind{at.backend, s.phase == opening, s.failures}
			groups[k] = append(groups[k], s)
		}
	}
	for k, shards := range groups {
		size := max(1, loadShards>>(shrinkByBits*k.failures))
		for len(shards) > 0 && t.loads < maxLoads {
			n := min(size, len(shards))
			t.startLoad(load{backend: k.backend, open: k.open, failures: k.failures}, shards[:n])
			shards = shards[n:]
		}
	}
}

func (t *tenure) startLoad(l load, shards []*shard) {
	for _, s := range shards {
		s.loading, s.changed = true, false
		l.claims = append(l.claims, s.claim)
	}
	t.loads++
	t.work.Go(func() {
		listing, err := t.read(l)
		t.post(func() {
			t.loads--
			t.loaded(l, listing, err)
		})
	})
}

// read makes the calls of a load, beside the membership's goroutine.
func (t *tenure) read(l load) (Listing, error) {
	ctx, cancel := context.WithTimeout(t.ctx, loadTimeout)
	defer cancel()
	var fenced []deliver.Claim
	claims := l.claims
	if l.open {
		refused, err := t.registry.OpenEpoch(ctx, claims)
		if err != nil {
			return Listing{}, err
		}
		fenced, claims = refused, without(claims, refused)
	}
	if len(claims) == 0 {
		return Listing{Refused: fenced}, nil
	}
	listing, err := t.registry.ListShards(ctx, claims)
	listing.Refused = append(listing.Refused, fenced...)
	return listing, err
}

func without(claims, refused []deliver.Claim) []deliver.Claim {
	if len(refused) == 0 {
		return claims
	}
	out := make(map[deliver.Claim]bool, len(refused))
	for _, claim := range refused {
		out[claim] = true
	}
	var left []deliver.Claim
	for _, claim := range claims {
		if !out[claim] {
			left = append(left, claim)
		}
	}
	return left
}

// loaded takes in what was read.
func (t *tenure) loaded(l load, listing Listing, err error) {
	shards := make(map[place]*shard, len(l.claims))
	for _, claim := range l.claims {
		s := t.shards[placeOf(claim)]
		if s == nil || s.claim != claim {
			continue // fenced meanwhile
		}
		s.loading, s.tried = false, true
		switch {
		case s.phase == abandoned:
			delete(t.shards, placeOf(claim))
		case s.phase == draining:
		case err != nil:
			t.putOff(s)
		default:
			s.failures = 0
			shards[placeOf(claim)] = s
		}
	}
	if err != nil {
		t.cfg.Log.WarnContext(t.ctx, "shards could not be loaded", "backend", l.backend, "shards", len(l.claims), "error", err)
		return
	}
	t.fence(listing.Refused)
	for _, claim := range listing.Refused {
		delete(shards, placeOf(claim))
	}
	t.apply(l.backend, shards, listing)
}

// putOff has a shard tried again later.
func (t *tenure) putOff(s *shard) {
	s.failures++
	s.changed = true
	delay := backoff(s.failures)
	s.notUntil = time.Now().Add(delay)
	time.AfterFunc(delay, func() { t.post(func() {}) }) // reconcile follows every event
}

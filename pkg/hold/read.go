// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import "time"

const (
	maxReads     = 4   // in flight at once
	readShards   = 256 // of one Read; fewer when reads fail, down to one
	shrinkByBits = 2   // each failure divides the shards of a Read by four
)

// kind is what the shards of one Read have in common.
type kind struct {
	backend  string
	open     bool
	failures int
}

// startReads reads the shards that need it. Shards that failed together are tried in
// smaller groups, so that one that cannot be read does not hold up the others. No
// epoch is opened in doubt: it would fence whoever is rightly there.
func (m *Machine) startReads(now time.Time) {
	groups := make(map[kind][]*holding)
	var kinds []kind
	for _, at := range m.ordered() {
		s := m.shards[at]
		needed := s.phase == opening && m.right == Current || s.phase == running && s.changed
		if !needed || s.reading || s.notUntil.After(now) {
			continue
		}
		k := kind{at.Backend, s.phase == opening, s.failures}
		if groups[k] == nil {
			kinds = append(kinds, k)
		}
		groups[k] = append(groups[k], s)
	}
	for _, k := range kinds {
		shards := groups[k]
		size := max(1, readShards>>(shrinkByBits*k.failures))
		for len(shards) > 0 && m.reads < maxReads {
			n := min(size, len(shards))
			m.startRead(k, shards[:n])
			shards = shards[n:]
		}
	}
}

func (m *Machine) startRead(k kind, shards []*holding) {
	read := Read{Backend: k.backend, Open: k.open, Failures: k.failures}
	for _, s := range shards {
		s.reading, s.changed = true, false
		read.Claims = append(read.Claims, s.claim)
	}
	m.reads++
	m.do(read)
}

// apply takes in what was read.
func (e Loaded) apply(m *Machine, now time.Time) {
	m.reads--
	var read []*holding
	for _, claim := range e.Read.Claims {
		s := m.shards[claim.ID()]
		if s == nil || s.claim != claim {
			continue // fenced meanwhile
		}
		s.reading, s.tried = false, true
		switch {
		case s.phase == abandoned:
			delete(m.shards, claim.ID())
		case s.phase == draining:
		case e.Failed:
			m.putOff(s, now)
		default:
			s.failures, s.notUntil = 0, time.Time{}
			read = append(read, s)
		}
	}
	if e.Failed {
		return
	}
	m.fence(e.Refused)
	m.run(read)
}

// run starts what was read and not refused. A hold that would begin in doubt has to
// wait, and its shard is read once more then.
func (m *Machine) run(read []*holding) {
	var claims []Claim
	for _, s := range read {
		if m.shards[s.claim.ID()] != s || s.phase == opening && m.right != Current {
			continue
		}
		s.phase = running
		claims = append(claims, s.claim)
	}
	if len(claims) > 0 {
		m.do(Run{claims})
	}
}

// putOff has a shard tried again later.
func (m *Machine) putOff(s *holding, now time.Time) {
	s.failures++
	s.changed = true
	s.notUntil = now.Add(m.wait(s.failures))
}

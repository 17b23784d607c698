// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"container/heap"
	"time"

	"mailpush.internal/pkg/shard"
)

const (
	maxReads     = 4   // in flight at once
	readShards   = 256 // of one Read; fewer when reads fail, down to one
	readUsers    = 512 // named in one Read
	shrinkByBits = 2   // each failure divides the shards of a Read by four
)

// startReads reads the shards that need it, those first that wait longest. No epoch is
// opened in doubt: it would fence whoever is rightly there.
func (m *Machine) startReads() {
	allowed := func(k kind) bool { return !k.open || m.right == Current }
	for m.reads < maxReads {
		first := m.lines.first(allowed)
		if first == nil {
			return
		}
		m.startRead(first.line)
	}
}

// startRead reads the first shards of a line. Shards that failed together are tried in
// smaller groups, so that one that cannot be read does not hold up the others.
func (m *Machine) startRead(k kind) {
	read := Read{Backend: k.backend, Open: k.open, Failures: k.failures}
	most := max(1, readShards>>(shrinkByBits*k.failures))
	for len(read.Claims) < most {
		s := m.lines.front(k)
		if s == nil || k.named && len(read.Users)+len(s.changed.Users) > readUsers {
			break
		}
		m.lines.leave(s)
		if k.named {
			read.Users = append(read.Users, s.changed.Users...)
		}
		s.reading, s.changed = true, nil
		read.Claims = append(read.Claims, s.claim)
	}
	m.reads++
	m.do(read)
}

// apply takes in what was read.
func (e Loaded) apply(m *Machine, now time.Time) {
	m.reads--
	var until time.Time
	if e.Failed {
		until = now.Add(m.wait(e.Read.Failures + 1)) // for all of them, which are tried together again
	}
	var read []*holding
	for _, claim := range e.Read.Claims {
		s := m.shards[claim.ID()]
		if s == nil || s.claim != claim {
			continue // fenced meanwhile
		}
		m.touch(claim.ID())
		s.reading, s.tried = false, true
		switch {
		case s.phase == abandoned:
			m.drop(claim.ID())
		case s.phase == draining:
		case e.Failed:
			m.putOff(s, until)
		default:
			s.failures = 0
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

// putOff has a shard tried again later, all of it.
func (m *Machine) putOff(s *holding, until time.Time) {
	s.failures++
	s.change(shard.Change{})
	s.notUntil = until
	heap.Push(&m.paused, s)
}

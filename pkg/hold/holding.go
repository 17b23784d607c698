// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"container/list"
	"time"

	"mailpush.internal/pkg/shard"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// holding is what is known of a shard that this worker runs, or is about to, or has
// yet to let go of.
type holding struct {
	claim    Claim
	phase    phase
	reading  bool // a Read of it is in flight
	tried    bool // a Read of it has ended
	changed  *shard.Change
	failures int
	notUntil time.Time // after a failure, until its pause is over

	line   kind // where it waits for a Read; see lines
	place  *list.Element
	ticket uint64
}

type phase int

const (
	opening   phase = iota // its epoch is not open yet, or its mailboxes not read
	running                // its mailboxes are listened to
	draining               // requests in flight end, cursors are stored
	abandoned              // no more wanted while it was opening
)

// acts tells whether something runs for it.
func (s *holding) acts() bool { return s.phase == running || s.phase == draining }

// settled tells whether it is as the newest want has it, or was tried to be.
func (s *holding) settled() bool { return s.phase == running || s.phase == opening && s.tried }

// waits tells whether it is to be read as soon as may be.
func (s *holding) waits() bool {
	needed := s.phase == opening || s.phase == running && s.changed != nil
	return needed && !s.reading && s.notUntil.IsZero()
}

// change takes in that the registry holds something else of it.
func (s *holding) change(what shard.Change) {
	if s.changed != nil {
		what = s.changed.Merge(what)
	}
	s.changed = &what
}

// aim moves a shard towards what is wanted. It looks at the state only, so that it does not
// matter what was missed or came twice.
func (m *Machine) aim(at shard.ID) {
	s, epoch := m.shards[at], m.target[at]
	if s != nil && s.claim.Epoch != epoch {
		switch {
		case s.phase == running:
			s.phase = draining
			m.leaving = append(m.leaving, s.claim)
		case s.phase == opening && s.reading:
			s.phase = abandoned
		case s.phase == opening:
			m.drop(at)
		}
	}
	if m.shards[at] == nil && epoch > m.fenced[at] {
		m.shards[at] = &holding{claim: Claim{at.Backend, at.Number, epoch}}
	}
}

// drop forgets a shard that nothing runs for any more.
func (m *Machine) drop(at shard.ID) {
	m.lines.leave(m.shards[at])
	delete(m.shards, at)
	m.touch(at)
}

// index enters a shard, as it is now, where it is looked for.
func (m *Machine) index(at shard.ID) {
	s := m.shards[at]
	var acting uint64
	if s != nil && s.acts() {
		acting = s.claim.Epoch
	}
	if m.acting[at] != acting {
		m.reports.stale = true
		if m.acting[at] = acting; acting == 0 {
			delete(m.acting, at)
		}
	}
	if s != nil && !s.settled() {
		m.unsettled[at] = true
	} else {
		delete(m.unsettled, at)
	}
	if s != nil {
		m.lines.put(s)
	}
}

// fence takes out shards whose claims the registry has refused: somebody newer owns
// them. Only a higher epoch brings them back.
func (m *Machine) fence(claims []Claim) {
	var cut []Claim
	for _, claim := range claims {
		at := claim.ID()
		m.fenced[at] = max(m.fenced[at], claim.Epoch)
		s := m.shards[at]
		if s == nil || s.claim != claim || s.phase == draining {
			continue // a drain ends by itself
		}
		if s.phase == running {
			cut = append(cut, claim)
		}
		m.drop(at)
	}
	if len(cut) > 0 {
		m.do(Cut{cut})
	}
}

// granted is the epoch of each shard a want allows.
func granted(want *clusterv1.Want) map[shard.ID]uint64 {
	out := make(map[shard.ID]uint64)
	for _, set := range want.GetGranted() {
		for i, number := range set.GetShards() {
			if i < len(set.GetEpochs()) { // a grant without an epoch is none
				out[shard.ID{Backend: set.GetBackend(), Number: number}] = set.GetEpochs()[i]
			}
		}
	}
	return out
}

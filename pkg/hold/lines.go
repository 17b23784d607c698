// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"container/heap"
	"container/list"
	"time"
)

// kind is what the shards of one Read have in common.
type kind struct {
	backend  string
	open     bool
	named    bool // only users that are named are read
	failures int
}

// kind is how it is to be read. What has failed is read whole: what a Read has brought of
// some users before it failed is not known.
func (s *holding) kind() kind {
	return kind{
		backend:  s.claim.Backend,
		open:     s.phase == opening,
		named:    s.phase == running && s.failures == 0 && !s.changed.Whole(),
		failures: s.failures,
	}
}

// lines are the shards that wait for a Read, a line for each kind. They come in the order
// in which they have joined: so none waits for ever, however often others change.
type lines struct {
	of      map[kind]*list.List // of *holding; none is empty
	tickets uint64              // given out so far
}

func newLines() lines { return lines{of: make(map[kind]*list.List)} }

// put has a shard wait where it is to, or not at all. One that does already keeps its place.
func (l *lines) put(s *holding) {
	waits := s.waits()
	if s.place != nil && (!waits || s.line != s.kind()) {
		l.leave(s)
	}
	if !waits || s.place != nil {
		return
	}
	s.line = s.kind()
	line := l.of[s.line]
	if line == nil {
		line = list.New()
		l.of[s.line] = line
	}
	l.tickets++
	s.place, s.ticket = line.PushBack(s), l.tickets
}

// leave takes a shard out, if it waits.
func (l *lines) leave(s *holding) {
	if s.place == nil {
		return
	}
	line := l.of[s.line]
	line.Remove(s.place)
	if s.place = nil; line.Len() == 0 {
		delete(l.of, s.line)
	}
}

// first is the shard that waits longest, of the kinds that are allowed; nil without one.
func (l *lines) first(allowed func(kind) bool) *holding {
	var first *holding
	for k := range l.of {
		if s := l.front(k); allowed(k) && (first == nil || s.ticket < first.ticket) {
			first = s
		}
	}
	return first
}

// front is the first of a line, nil when nobody waits there.
func (l *lines) front(k kind) *holding {
	line := l.of[k]
	if line == nil {
		return nil
	}
	s, _ := line.Front().Value.(*holding) // nothing else is put there
	return s
}

// pauses are the shards that stay away after a failure, as a heap: the one whose pause ends
// first comes first. Those of one moment come by their names.
type pauses []*holding

// due is when the first pause ends; zero without one.
func (p *pauses) due() time.Time {
	if len(*p) == 0 {
		return time.Time{}
	}
	return (*p)[0].notUntil
}

// wake ends the pauses whose time has come, also those of shards that are gone meanwhile.
func (m *Machine) wake(now time.Time) {
	for len(m.paused) > 0 && !m.paused.due().After(now) {
		s, _ := heap.Pop(&m.paused).(*holding) // nothing else is pushed
		s.notUntil = time.Time{}
		m.touch(s.claim.ID())
	}
}

// Len implements [heap.Interface].
func (p *pauses) Len() int { return len(*p) }

// Less implements [heap.Interface].
func (p *pauses) Less(i, j int) bool {
	a, b := (*p)[i], (*p)[j]
	if !a.notUntil.Equal(b.notUntil) {
		return a.notUntil.Before(b.notUntil)
	}
	return a.claim.compare(b.claim) < 0
}

// Swap implements [heap.Interface].
func (p *pauses) Swap(i, j int) { (*p)[i], (*p)[j] = (*p)[j], (*p)[i] }

// Push implements [heap.Interface].
func (p *pauses) Push(x any) {
	if s, ok := x.(*holding); ok {
		*p = append(*p, s)
	}
}

// Pop implements [heap.Interface].
func (p *pauses) Pop() any {
	last := len(*p) - 1
	s := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return s
}

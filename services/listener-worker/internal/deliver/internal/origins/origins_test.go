// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"slices"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// fails answers a member's request as an origin does that is out of order.
func (s *Set) fails(m Member, at *Origin, now time.Time, reason string) bool {
	return s.Answer(m, at, transport.Result{Class: transport.Retry, Detail: reason}, now, 0)
}

// An outage lasts from the moment the breaker opens until something is accepted, however
// often the origin is tried meanwhile, and tells what was said last.
func TestOutage(t *testing.T) {
	t.Parallel()
	s, at := New(func(*Origin) {}), time.Unix(0, 0)
	members := make([]Endpoint, 3)
	for i := range members {
		s.Join(&members[i], "a")
	}
	o := members[0].Origin()
	opened := false
	for n := 0; !opened; n++ {
		if lasts, _ := o.Outage(at); lasts != 0 {
			t.Fatal("an outage before the breaker has opened")
		}
		opened = s.fails(&members[n%3], o, at, "first")
	}
	if got := len(slices.Collect(o.Failing())); got != 3 {
		t.Errorf("%d members fail, want 3", got)
	}
	at = o.Breaker().until
	if !s.CoolDownOver(o, at) || o.State() != HalfOpen {
		t.Fatal("the cool-down does not end")
	}
	s.fails(&members[0], o, at, "second")
	if lasts, reason := o.Outage(at.Add(time.Second)); lasts != at.Sub(time.Unix(0, 0))+time.Second || reason != "second" {
		t.Errorf("the outage lasts %s, for %q", lasts, reason)
	}
	if s.States(Open) != 1 || s.States(HalfOpen) != 0 || s.States(Closed) != 0 {
		t.Error("the origin is counted otherwise than it is")
	}
	if !s.Answer(&members[0], o, transport.Result{}, at, 0) {
		t.Fatal("an answer does not close the breaker")
	}
	if lasts, reason := o.Outage(at); lasts != 0 || reason != "" {
		t.Errorf("the outage lasts %s, for %q, although the origin works", lasts, reason)
	}
	if got := len(slices.Collect(o.Failing())); got != 2 {
		t.Errorf("%d members fail after one was accepted, want 2", got)
	}
}

// What a member is answered where its endpoint is not any more says nothing of the member.
func TestAnswerOfAnOriginThatWasLeft(t *testing.T) {
	t.Parallel()
	var ended []string
	s := New(func(o *Origin) { ended = append(ended, o.Name()) })
	var m Endpoint
	s.Join(&m, "old")
	old := m.Origin()
	s.Retain(old) // its request is out
	s.Join(&m, "new")
	if len(ended) != 0 || s.Len() != 2 {
		t.Fatalf("%v have ended, %d are known", ended, s.Len())
	}
	s.fails(&m, old, time.Unix(0, 0), "late")
	if len(slices.Collect(m.Origin().Failing())) != 0 || len(slices.Collect(old.Failing())) != 0 {
		t.Error("the member counts as failing")
	}
	s.Release(old)
	if !slices.Equal(ended, []string{"old"}) {
		t.Errorf("%v have ended, want the one that nobody uses", ended)
	}
	s.Leave(&m)
	s.Leave(&m) // twice is no harm
	if s.Len() != 0 || s.States(Closed) != 0 {
		t.Errorf("%d are known, %d counted, want none", s.Len(), s.States(Closed))
	}
}

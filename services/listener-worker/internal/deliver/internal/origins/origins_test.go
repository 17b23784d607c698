// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"slices"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// fakeMember has an endpoint, and mail since a time.
type fakeMember struct {
	Endpoint

	name  string
	mail  moment.Moment
	empty bool
}

// Oldest implements Member.
func (f *fakeMember) Oldest() (moment.Moment, bool) { return f.mail, !f.empty }

func nameOf(m Member) string {
	if f, ok := m.(*fakeMember); ok {
		return f.name
	}
	return "?"
}

// members are so many at an origin of a set.
func members(s *Set, n int) []*fakeMember {
	out := make([]*fakeMember, n)
	for i := range out {
		out[i] = &fakeMember{name: string(rune('a' + i)), mail: moment.Moment(i + 1)}
		s.Join(out[i], Name{Text: "x"})
	}
	return out
}

func failed(reason string) transport.Result {
	return transport.Result{Class: transport.Retry, Detail: reason}
}

func unreached() transport.Result {
	return transport.Result{Class: transport.Retry, Unanswered: true, Unreached: true, Detail: "refused"}
}

// breaks has the origin's breaker open by what its members are answered.
func breaks(t *testing.T, s *Set, all []*fakeMember, result transport.Result, now time.Time) *Origin {
	t.Helper()
	o := all[0].Origin()
	for n := 0; o.State() == Closed; n++ {
		if s.Answer(all[n%len(all)], o, result, now, 1); n > 1000 {
			t.Fatal("the breaker does not open")
		}
	}
	return o
}

// An outage lasts from the moment the breaker opens until something is accepted, however
// often the origin is tried meanwhile, and tells what was said last.
func TestOutage(t *testing.T) {
	t.Parallel()
	s, at := New(func(*Origin) {}), time.Unix(0, 0)
	all := members(s, 3)
	o := all[0].Origin()
	if lasts, _ := o.Outage(at); lasts != 0 {
		t.Fatal("an outage before the breaker has opened")
	}
	breaks(t, s, all, failed("first"), at)
	if got := len(slices.Collect(o.Failing())); got != 3 {
		t.Errorf("%d members fail, want 3", got)
	}
	at = o.Due()
	if !s.Tick(o, at, 1) || o.State() != HalfOpen {
		t.Fatal("the cool-down does not end")
	}
	s.Answer(all[0], o, failed("second"), at, 1)
	if lasts, reason := o.Outage(at.Add(time.Second)); lasts != at.Sub(time.Unix(0, 0))+time.Second || reason != "second" {
		t.Errorf("the outage lasts %s, for %q", lasts, reason)
	}
	if s.States(Open) != 0 || s.States(HalfOpen) != 1 || s.States(Closed) != 0 {
		t.Error("the origin is counted otherwise than it is")
	}
	if !s.Answer(all[0], o, transport.Result{}, at, 0).Moved {
		t.Fatal("an answer does not close the breaker")
	}
	if lasts, reason := o.Outage(at); lasts != 0 || reason != "" || !o.Due().IsZero() {
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
	s := New(func(o *Origin) { ended = append(ended, o.Name().Text) })
	m := &fakeMember{}
	s.Join(m, Name{Text: "old"})
	old := m.Origin()
	s.Retain(old) // its request is out
	s.Join(m, Name{Text: "new"})
	if len(ended) != 0 || s.Len() != 2 {
		t.Fatalf("%v have ended, %d are known", ended, s.Len())
	}
	s.Answer(m, old, failed("late"), time.Unix(0, 0), 0)
	if len(slices.Collect(m.Origin().Failing())) != 0 || len(slices.Collect(old.Failing())) != 0 {
		t.Error("the member counts as failing")
	}
	s.Release(old)
	if !slices.Equal(ended, []string{"old"}) {
		t.Errorf("%v have ended, want the one that nobody uses", ended)
	}
	s.Leave(m)
	s.Leave(m) // twice is no harm
	if s.Len() != 0 || s.States(Closed) != 0 {
		t.Errorf("%d are known, %d counted, want none", s.Len(), s.States(Closed))
	}
}

// Those that are only asked are apart, whatever the name: they open no breaker for others,
// and are not counted among the origins that pushes go to.
func TestThoseWhoHaveNotConsentedAreApart(t *testing.T) {
	t.Parallel()
	s, now := New(func(*Origin) {}), time.Unix(0, 0)
	consented := members(s, 1)[0]
	for range 5 {
		asked := &fakeMember{}
		s.Join(asked, Name{Text: "x", Asks: true})
		for range 2 * breakAfter {
			s.Answer(asked, asked.Origin(), unreached(), now, 1)
		}
	}
	if consented.Origin().State() != Closed || !consented.Admitted() {
		t.Error("they have opened the breaker of one that has consented")
	}
	if s.States(Closed) != 1 || s.States(Open) != 0 || s.Len() != 2 {
		t.Errorf("%d origins are counted closed and %d open of %d", s.States(Closed), s.States(Open), s.Len())
	}
}

// Who goes on to fail after others were accepted fails by itself, and opens no breaker.
func TestWhoFailsBesideOnesThatWorkOpensNoBreaker(t *testing.T) {
	t.Parallel()
	s, now := New(func(*Origin) {}), time.Unix(0, 0)
	all := members(s, 6)
	o := all[0].Origin()
	for _, broken := range all[1:] {
		s.Answer(broken, o, failed("500"), now, 1)
	}
	s.Answer(all[0], o, transport.Result{}, now, 1)
	for range 10 * breakAfter {
		for _, broken := range all[1:] {
			s.Answer(broken, o, failed("500"), now, 1)
		}
	}
	if o.State() != Closed {
		t.Fatal("endpoints that are known to fail by themselves have opened the breaker")
	}
	for range breakAfter {
		for _, m := range all[1:] {
			s.Answer(m, o, unreached(), now, 1)
		}
	}
	if o.State() != Open {
		t.Error("nobody can reach the origin, and its breaker is closed")
	}
}

// Who could not reach the origin is told once it answers somebody, whatever it says, and
// the breaker need not have opened for that.
func TestAnOriginThatAnswersAgainIsToldToWhoCouldNotReachIt(t *testing.T) {
	t.Parallel()
	s, now := New(func(*Origin) {}), time.Unix(0, 0)
	all := members(s, 4)
	o := all[0].Origin()
	told := func(m *fakeMember, result transport.Result) (names string) {
		for _, back := range s.Answer(m, o, result, now, 1).Back {
			names += nameOf(back)
		}
		return names
	}
	for _, c := range []struct {
		of     int
		result transport.Result
		want   string
	}{
		{0, unreached(), ""},
		{1, unreached(), ""},
		{2, transport.Result{Class: transport.Misconfigured, Unanswered: true}, ""}, // nobody was asked
		{2, failed("500"), "ab"},
		{3, transport.Result{}, ""},
		{0, unreached(), ""},
		{3, transport.Result{Class: transport.Auth}, "a"},
	} {
		if got := told(all[c.of], c.result); got != c.want {
			t.Errorf("after %+v %q are told, want %q", c.result, got, c.want)
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// ill is an origin out of order whose cool-down is over, with its members.
func ill(t *testing.T, s *Set, n int, result transport.Result) (o *Origin, all []*fakeMember, now time.Time) {
	t.Helper()
	all = members(s, n)
	o = breaks(t, s, all, result, time.Unix(0, 0))
	for _, m := range all {
		if m.Admitted() {
			t.Fatal("somebody may go to an origin that is out of order")
		}
		s.Await(m)
	}
	if m, _ := s.Probe(o, now); m != nil {
		t.Fatal("a probe before the cool-down is over")
	}
	now = o.Due()
	s.Tick(o, now, 1)
	return o, all, now
}

// next is the name of who is tried next, "" for nobody.
func next(s *Set, o *Origin, now time.Time) (*fakeMember, string) {
	m, _ := s.Probe(o, now)
	if m == nil {
		return nil, ""
	}
	f, _ := m.(*fakeMember)
	return f, f.name
}

// Where nobody can be reached one goes after each cool-down, the one with the oldest mail
// of those that have not been tried.
func TestProbesOfAnOriginThatCannotBeReachedGoRound(t *testing.T) {
	t.Parallel()
	s := New(func(*Origin) {})
	o, all, now := ill(t, s, 4, unreached())
	all[2].mail, all[3].empty = 0, true // the oldest of all; and one whose mail has gone
	s.Tick(o, now, 1)
	now = o.Breaker().until
	s.Tick(o, now, 1) // they are lined up again
	tried := ""
	for range 6 {
		m, name := next(s, o, now)
		if !m.Admitted() {
			t.Fatal("who is to try may not")
		}
		if _, other := next(s, o, now); other != "" {
			t.Fatalf("%s and %s are tried at once", name, other)
		}
		tried += name
		if !s.Answer(m, o, unreached(), now, 1).Moved || o.State() != Open {
			t.Fatal("the look goes on although nobody can be reached")
		}
		s.Await(m)
		now = o.Due()
		s.Tick(o, now, 1)
	}
	if tried != "cabcab" {
		t.Errorf("tried %s, want cabcab", tried)
	}
}

// Once an origin answers, all that have not been served are tried in one look, as soon as
// one is answered the next: what each is answered says nothing of the others.
func TestALookGoesOnWhileTheOriginAnswers(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]transport.Result{
		"500": failed("500"), "401": {Class: transport.Auth}, "429": {Class: transport.Retry, After: time.Hour},
	} {
		s := New(func(*Origin) {})
		o, all, now := ill(t, s, 10, unreached())
		for range all[:9] {
			m, _ := next(s, o, now)
			s.Answer(m, o, result, now, 1)
		}
		if last, _ := next(s, o, now); last != all[9] {
			t.Fatalf("%s: the last one is not tried in the look", name)
		}
		if !s.Answer(all[9], o, transport.Result{}, now, 1).Moved || o.State() != Closed {
			t.Fatalf("%s: the origin works", name)
		}
	}
}

// A look tries so many and no more; the next one goes on with those that are left.
func TestALookIsBounded(t *testing.T) {
	t.Parallel()
	s := New(func(*Origin) {})
	o, _, now := ill(t, s, 50, failed("503"))
	seen := make(map[*fakeMember]int)
	try := func() (tried int) {
		for m, _ := next(s, o, now); m != nil; m, _ = next(s, o, now) {
			seen[m]++
			tried++
			s.Answer(m, o, failed("503"), now, 1)
			s.Await(m) // its own back-off is over
		}
		return tried
	}
	if tried := try(); tried != probes || o.State() != Open {
		t.Fatalf("%d were tried in a look, then %s", tried, o.State())
	}
	now = o.Due()
	s.Tick(o, now, 1)
	if tried := try(); tried != 50-probes || len(seen) != 50 || o.State() != HalfOpen {
		t.Fatalf("%d were tried in the second look, %d in all, then %s", tried, len(seen), o.State())
	}
	// Who has new mail and has not been tried goes at once, for the look has probes left.
	fresh := &fakeMember{name: "fresh", mail: 1000}
	s.Join(fresh, o.Name())
	s.Await(fresh)
	if m, _ := next(s, o, now); m != fresh {
		t.Error("one that has not been tried has to wait for the next look")
	}
}

// One that hangs keeps nobody from being tried: after a second, two are out, then four.
func TestALookDoesNotWaitForOneThatHangs(t *testing.T) {
	t.Parallel()
	s := New(func(*Origin) {})
	o, _, now := ill(t, s, 40, unreached())
	out, want := 0, 1
	for range 5 {
		for m, _ := next(s, o, now); m != nil; m, _ = next(s, o, now) {
			out++
		}
		if out != want {
			t.Fatalf("%d are out, want %d", out, want)
		}
		if got := o.Due().Sub(now); got != stall {
			t.Fatalf("the look goes on after %s, want %s", got, stall)
		}
		now, want = o.Due(), 2*want
		s.Tick(o, now, 1)
	}
}

// Who is known to fail by itself comes after those of whom nobody knows.
func TestWhoFailsByItselfIsTriedLast(t *testing.T) {
	t.Parallel()
	s, now := New(func(*Origin) {}), time.Unix(0, 0)
	all := members(s, 6)
	o := all[0].Origin()
	for range 2 {
		for _, broken := range all[:3] {
			s.Answer(broken, o, failed("500"), now, 1)
		}
		s.Answer(all[5], o, transport.Result{}, now, 1)
	}
	breaks(t, s, all, unreached(), now)
	for _, m := range all {
		s.Await(m)
	}
	now = o.Due()
	s.Tick(o, now, 1)
	tried := ""
	for m, name := next(s, o, now); m != nil; m, name = next(s, o, now) {
		tried += name
		s.Answer(m, o, failed("500"), now, 1)
	}
	if tried != "defabc" {
		t.Errorf("tried %s, want defabc", tried)
	}
}

// A probe of which no request comes makes room for the next one.
func TestAProbeThatComesToNothingIsNoProbe(t *testing.T) {
	t.Parallel()
	s := New(func(*Origin) {})
	o, all, now := ill(t, s, 40, unreached())
	for range all[:35] {
		m, _ := next(s, o, now)
		if m == nil || !s.Unprobed(m) || s.Unprobed(m) {
			t.Fatal("the look is used up by probes that came to nothing")
		}
	}
	m, _ := next(s, o, now)
	s.Leave(m)
	if other, _ := next(s, o, now); other == nil {
		t.Error("one that has left while it was out keeps the others waiting")
	}
}

// Who is pressed goes whatever is known of the origin, once; and if it is accepted, the
// origin works.
func TestWhoIsPressedGoesAtOnce(t *testing.T) {
	t.Parallel()
	s := New(func(*Origin) {})
	all := members(s, 3)
	if s.Press(all[0]); all[0].trouble != nil {
		t.Error("it is remembered that one was pressed at an origin in order")
	}
	o := breaks(t, s, all, unreached(), time.Unix(0, 0))
	s.Await(all[0])
	if !s.Press(all[0]) || s.Press(all[1]) || all[0].Awaits() {
		t.Error("who waited is not told from who did not")
	}
	for _, m := range all[:2] {
		if !m.Admitted() {
			t.Fatal("who is pressed may not go")
		}
	}
	s.Answer(all[0], o, failed("500"), time.Unix(1, 0), 1)
	if all[0].Settle(); all[0].Admitted() || o.State() != Open {
		t.Error("it may go again")
	}
	if s.Answer(all[1], o, transport.Result{}, time.Unix(1, 0), 1); o.State() != Closed {
		t.Error("the origin works")
	}
	if waiting := s.Clear(o); len(waiting) != 0 {
		t.Errorf("%d wait", len(waiting))
	}
}

// Whatever comes and goes: nobody is tried twice before all that could be have been tried
// once, no more are out than may be, and nothing is left of what is over.
func TestProbesProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, now := New(func(*Origin) {}), time.Unix(0, 0)
		var all, out []*fakeMember
		name := Name{Text: "x"}
		join := func() {
			m := &fakeMember{mail: moment.Moment(rapid.IntRange(1, 9).Draw(t, "mail"))}
			s.Join(m, name)
			all = append(all, m)
		}
		for range rapid.IntRange(3, 6).Draw(t, "members") {
			join()
		}
		o := all[0].Origin()
		s.Retain(o)
		pick := func(list []*fakeMember) *fakeMember {
			if len(list) == 0 {
				return nil
			}
			return rapid.SampledFrom(list).Draw(t, "which")
		}
		results := rapid.SampledFrom([]transport.Result{{}, failed("500"), unreached(), {Class: transport.Auth}})
		isOut := func(m *fakeMember) bool { return m.trouble != nil && m.trouble.probing }
		t.Repeat(map[string]func(*rapid.T){
			"join": func(*rapid.T) { join() },
			"leave": func(*rapid.T) {
				if m := pick(all); m != nil {
					s.Leave(m)
					all = without(all, m)
					out = without(out, m)
				}
			},
			"fail": func(*rapid.T) {
				for range breakAfter {
					if m := pick(all); m != nil && !isOut(m) {
						s.Answer(m, o, failed("500"), now, 1)
					}
				}
			},
			"await": func(*rapid.T) {
				if m := pick(all); m != nil && !m.Admitted() && !isOut(m) {
					s.Await(m)
				}
			},
			"press": func(*rapid.T) {
				if m := pick(all); m != nil && !isOut(m) {
					s.Press(m)
				}
			},
			"due": func(*rapid.T) {
				if due := o.Due(); !due.IsZero() {
					now = due
					s.Tick(o, now, 1)
				}
			},
			"probe": func(*rapid.T) {
				m, _ := s.Probe(o, now)
				if m == nil {
					return
				}
				f, _ := m.(*fakeMember)
				if !isOut(f) || len(out) >= probes {
					t.Fatalf("%d are out", len(out)+1)
				}
				for _, other := range all {
					if other.trouble != nil && other.trouble.line != nil && other.trouble.round == o.round {
						t.Fatal("one that has been tried in this round waits to be tried in it")
					}
				}
				out = append(out, f)
			},
			"answer": func(*rapid.T) {
				if m := pick(out); m != nil {
					out = without(out, m)
					s.Answer(m, o, results.Draw(t, "result"), now, 1)
				}
			},
			"nothing": func(*rapid.T) {
				if m := pick(out); m != nil {
					out = without(out, m)
					s.Unprobed(m)
				}
			},
			"clear": func(*rapid.T) {
				if o.State() == Closed {
					s.Clear(o)
				}
			},
			"": func(t *rapid.T) {
				if o.look.out != len(out) {
					t.Fatalf("%d are out, %d are counted", len(out), o.look.out)
				}
			},
		})
		for _, m := range all {
			s.Leave(m)
		}
		if s.Release(o); s.Len() != 0 || o.look.out != 0 || o.room.Len()+o.line.Len()+o.last.Len() != 0 {
			t.Fatal("something is left of what is over")
		}
	})
}

func without(list []*fakeMember, m *fakeMember) []*fakeMember {
	var out []*fakeMember
	for _, one := range list {
		if one != m {
			out = append(out, one)
		}
	}
	return out
}

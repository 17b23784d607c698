// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package outage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

var epoch = time.Date(2126, 3, 1, 10, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

// full are pauses of their full length.
func full() *Pauses {
	return &Pauses{Min: time.Second, Most: 10 * time.Second, Jitter: func(d time.Duration) time.Duration { return d }}
}

func either() *mailbox.Failure {
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "not now"}
}

func ofAll() *mailbox.Failure { return either().OfStore() }

func waiterOf(name string) *Waiter[string] { return &Waiter[string]{Of: name} }

func names(waiters []*Waiter[string]) (all []string) {
	for _, w := range waiters {
		all = append(all, w.Of)
	}
	return all
}

func expect(t *testing.T, what string, got []*Waiter[string], want ...string) {
	t.Helper()
	if !slices.Equal(names(got), want) {
		t.Errorf("%s: %q may try, want %q", what, names(got), want)
	}
}

func TestOneAtATimeFindsOutAndAllFollow(t *testing.T) {
	t.Parallel()
	s := New[string](full())
	for i, name := range []string{"a", "b", "c"} {
		w := waiterOf(name)
		w.Since = moment.Of(at(float64(i) / 10))
		if !s.Failed(w, ofAll(), at(0), at(0)) {
			t.Errorf("%s does not wait for the mail store", name)
		}
	}
	probed := ""
	for second := range 60 {
		now := at(float64(second))
		freed, probe := s.Due(now)
		expect(t, fmt.Sprint(second), freed)
		if probe != nil {
			probed += fmt.Sprintf("%s%d ", probe.Of, second)
			probe.Since = moment.Of(now)
			s.Failed(probe, ofAll(), now, now)
		}
	}
	if want := "a1 b3 c7 a15 b25 c35 a45 b55 "; probed != want {
		t.Errorf("probes %q, want %q", probed, want)
	}
	_, probe := s.Due(at(65))
	expect(t, "served", s.Served(probe, at(66)), "a", "b")
	if _, probe := s.Due(at(1000)); probe != nil || s.Awaiting() != 0 || !s.Next(at(1000)).IsZero() {
		t.Errorf("%v finds out, %d wait", probe, s.Awaiting())
	}
}

func TestAMailStoreIsDownWhenManyFailInARow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failures []*mailbox.Failure
		well     int
		want     bool
	}{
		"seven":                       {slices.Repeat([]*mailbox.Failure{ofAll()}, 7), 0, false},
		"eight":                       {slices.Repeat([]*mailbox.Failure{ofAll()}, 8), 0, true},
		"eight, and some are open":    {slices.Repeat([]*mailbox.Failure{ofAll()}, 8), 5, true},
		"eight of either":             {slices.Repeat([]*mailbox.Failure{either()}, 8), 0, true},
		"of either, others are well":  {slices.Repeat([]*mailbox.Failure{either()}, 80), 1, false},
		"that was not all, for a bit": {slices.Concat(slices.Repeat([]*mailbox.Failure{ofAll()}, 7), []*mailbox.Failure{either(), ofAll()}), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New[string](full())
			s.Well(c.well)
			for _, failure := range c.failures {
				s.Failed(waiterOf("x"), failure, at(0), at(0))
			}
			if s.Down() != c.want {
				t.Errorf("down: %v", s.Down())
			}
			s.Served(nil, at(1))
			if s.Down() || s.Said() != nil {
				t.Error("still down although one was served")
			}
		})
	}
}

func TestOnlyThoseAreHelpedWhomItConcerns(t *testing.T) {
	t.Parallel()
	s := New[string](full())
	s.Well(3)
	w := waiterOf("one that fails alone")
	if s.Failed(w, either(), at(0), at(0)) {
		t.Error("it waits for the mail store although others are served")
	}
	expect(t, "another is served", s.Served(nil, at(1)), w.Of) // once
	s.Failed(w, either(), at(2), at(2))
	for second := 3.0; second < 100; second++ {
		expect(t, "others are served", s.Served(nil, at(second)))
		freed, probe := s.Due(at(second))
		expect(t, "it has rested", freed)
		if probe != nil {
			t.Fatalf("%s finds out", probe.Of)
		}
	}
	other := waiterOf("another like it")
	s.Failed(other, either(), at(100), at(100))
	s.Begins(other) // tries by itself
	expect(t, "one like it is served", s.Served(other, at(101)), w.Of)
	s.Failed(w, either(), at(102), at(102)) // in vain
	expect(t, "at once", s.Served(&Waiter[string]{tries: 1}, at(102.5)))
	freed, _ := s.Due(at(104))
	expect(t, "when it has rested", freed, w.Of)
}

func TestWhoIsOneTooManyIsNotAskedToFindOut(t *testing.T) {
	t.Parallel()
	s := New[string](full())
	limit := &mailbox.Failure{Class: mailbox.ClassLimit, Reason: "too many"}
	if s.Failed(waiterOf("x"), limit, at(0), at(0)) || s.Failed(waiterOf("y"), limit.OfStore(), at(0), at(0)) {
		t.Error("it comes back when others do")
	}
	if _, probe := s.Due(at(100)); probe != nil {
		t.Errorf("%s finds out", probe.Of)
	}
	expect(t, "served", s.Served(nil, at(101)), "x", "y")
}

func TestALossIsTheOutagesWhenThereIsOne(t *testing.T) {
	t.Parallel()
	s := New[string](full())
	s.Well(2)
	lost := waiterOf("lost")
	s.Lost(lost, at(100))
	expect(t, "it was alone", s.Served(nil, at(101)))
	for range 3 {
		s.Failed(waiterOf("refused"), ofAll(), at(102), at(102))
	}
	got := s.Served(nil, at(103))
	if !slices.Contains(names(got), "lost") || !lost.Freed() || !lost.ByLoss() {
		t.Errorf("%q may try", names(got))
	}
	later := waiterOf("lost long after")
	s.Lost(later, at(200))
	expect(t, "the outage is over", s.Served(nil, at(201)))
}

func TestAHintLetsAFewTry(t *testing.T) {
	t.Parallel()
	s := New[string](full())
	var all []*Waiter[string]
	for i := range 100 {
		w := waiterOf(fmt.Sprint(i))
		s.Failed(w, ofAll(), at(0), at(0))
		all = append(all, w)
	}
	if s.Hinted(all[0], at(0.5)) {
		t.Error("it has failed just now")
	}
	let := 0
	for second := 1.0; second < 11; second += 0.1 {
		if w := all[rand.IntN(len(all))]; s.Hinted(w, at(second)) {
			let++
			s.Begins(w)
			s.Failed(w, ofAll(), at(second), at(second))
		}
	}
	if let < 8 || let > 11 {
		t.Errorf("%d were let go in ten seconds", let)
	}
	own := waiterOf("by itself")
	s.Well(1)
	s.Failed(own, either(), at(20), at(20))
	if s.Hinted(own, at(100)) {
		t.Error("a hint says nothing of one that fails alone")
	}
}

// Whatever happens, somebody who waits for the mail store alone is let go in the end, and
// nobody is kept who is not waiting.
func TestNobodyIsForgotten(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		pauses := full()
		pauses.Jitter = func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
		live(t, random, New[int](pauses))
	}
}

func live(t *testing.T, random *rand.Rand, s *Store[int]) {
	t.Helper()
	all := make([]*Waiter[int], 30)
	trying := make(map[int]bool)
	for i := range all {
		all[i] = &Waiter[int]{Of: i}
		trying[i] = true
	}
	now := epoch
	begin := func(waiters ...*Waiter[int]) {
		for _, w := range waiters {
			if w.waits() || trying[w.Of] {
				t.Fatalf("%d is let go twice", w.Of)
			}
			trying[w.Of] = true
		}
	}
	for range 2000 {
		now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
		freed, probe := s.Due(now)
		begin(freed...)
		if probe != nil {
			begin(probe)
		}
		w := all[random.IntN(len(all))]
		if !trying[w.Of] {
			if random.IntN(20) == 0 { // by itself
				s.Begins(w)
				begin(w)
			}
			continue
		}
		delete(trying, w.Of)
		switch random.IntN(10) {
		case 0:
			next := &Waiter[int]{Of: w.Of}
			all[w.Of] = next
			s.Well(1)
			begin(s.Served(w, now)...)
			s.Well(-1)
			s.Lost(next, now)
		case 1:
			s.Held(w, now)
		case 2, 3:
			s.Failed(w, either(), now, now)
		default:
			s.Failed(w, ofAll(), now, now)
		}
	}
	awaiting, askable := 0, 0
	for _, w := range all {
		if w.waits() == trying[w.Of] {
			t.Fatalf("%d waits: %v, tries: %v", w.Of, w.waits(), trying[w.Of])
		}
		if w.awaits {
			awaiting++
			if w.place > 0 {
				askable++
			}
		}
	}
	if awaiting != s.awaiting || askable != s.askable {
		t.Fatalf("%d of %d wait for the mail store, it says %d of %d", askable, awaiting, s.askable, s.awaiting)
	}
	if awaiting == 0 {
		return
	}
	if next := s.Next(now); next.IsZero() || next.Sub(now) > 10*time.Second {
		t.Fatalf("nobody finds out before %s", next)
	}
}

// What had begun before others were served says nothing of how it is since.
func TestAnAttemptIsAsOldAsItsBeginning(t *testing.T) {
	t.Parallel()
	s := New[string](full())
	s.Well(1)
	hung, late := waiterOf("hung"), waiterOf("late")
	s.Served(nil, at(20))
	s.Failed(hung, either(), at(10), at(40))
	s.Failed(late, either(), at(21), at(40))
	freed, _ := s.Due(at(40))
	expect(t, "others were served since it began", freed, "hung")
	s.Failed(hung, either(), at(41), at(41))
	freed, _ = s.Due(at(60))
	expect(t, "nobody was served since", freed)
}

// Many that are lost at once are lost to the mail store, also when some stay.
func TestManyLossesAreTheMailStores(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		well, losses int
		every        float64
		want         int
	}{
		"most of them":               {100, 80, 0.01, 80},
		"few of many":                {1000, 80, 0.01, 0},
		"few":                        {10, 7, 0.01, 0},
		"as many, in an hour or two": {100, 80, 60, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New[string](full())
			s.Well(c.well)
			when := 0.0
			for range c.losses {
				when += c.every
				s.Lost(waiterOf("x"), at(when))
				s.Well(-1)
			}
			if freed := s.Served(nil, at(when+1)); len(freed) != c.want {
				t.Errorf("%d may try, want %d", len(freed), c.want)
			}
		})
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package loop_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/services/listener-worker/internal/loop"
)

func never(time.Time) time.Time { return time.Time{} }

func TestEventsRunInOrderAndMayPostMore(t *testing.T) {
	t.Parallel()
	l := loop.New()
	ctx, cancel := context.WithCancel(t.Context())
	var got []int
	l.Post(func() {
		got = append(got, 1)
		l.Post(func() { got = append(got, 3) })
		l.Post(cancel)
	})
	l.Post(func() { got = append(got, 2) })
	l.Run(ctx, never)
	if want := []int{1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRoundIsCalledWhenItWants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop.New()
		ctx, cancel := context.WithCancel(t.Context())
		began, rounds := time.Now(), 0
		l.Run(ctx, func(now time.Time) time.Time {
			if rounds++; now.Sub(began) >= 3*time.Hour {
				cancel()
			}
			return now.Add(time.Hour)
		})
		if rounds != 4 || time.Since(began) != 3*time.Hour {
			t.Errorf("%d rounds in %s, want 4 in 3h", rounds, time.Since(began))
		}
	})
}

func TestWorkBesideTheLoopComesBack(t *testing.T) {
	t.Parallel()
	l := loop.New()
	ctx, cancel := context.WithCancel(t.Context())
	l.Go(func() { l.Post(cancel) })
	l.Run(ctx, never)
	l.Wait()
	late := false
	l.Post(func() { late = true })
	l.Drain()
	if !late {
		t.Error("what was posted after the end was not drained")
	}
}

type alarm struct {
	loop.Timer
	name int
}

func TestTimersComeByTime(t *testing.T) {
	t.Parallel()
	base := time.Unix(1000, 0)
	var timers loop.Timers
	all := make([]*alarm, 100)
	for i := range all {
		all[i] = &alarm{name: i}
	}
	for _, i := range rand.Perm(len(all)) {
		timers.Set(all[i], base.Add(time.Duration(rand.IntN(1000))*time.Second))
		timers.Set(all[i], base.Add(time.Duration(i)*time.Second)) // in place of the first
	}
	timers.Remove(all[7])
	timers.Remove(all[7]) // has no effect
	timers.Set(all[8], time.Time{})
	if at := timers.Next(base); !at.Equal(base) {
		t.Errorf("the next is due at %s, want %s", at, base)
	}
	var got []int
	for of := timers.PopDue(base.Add(49 * time.Second)); of != nil; of = timers.PopDue(base.Add(49 * time.Second)) {
		a, _ := of.(*alarm)
		if got = append(got, a.name); a.Waits() {
			t.Errorf("%d still waits", a.name)
		}
	}
	var want []int
	for i := range 50 {
		if i != 7 && i != 8 {
			want = append(want, i)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !all[50].Waits() || all[7].Waits() || all[8].Waits() {
		t.Error("who waits is not told")
	}
}

func TestTimersFireInOrderAndCanBeMoved(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var all loop.Timers
	entries := make([]*alarm, 5)
	for i := range entries {
		entries[i] = &alarm{name: i}
		all.Set(entries[i], now.Add(time.Duration(5-i)*time.Second))
	}
	all.Set(entries[0], now.Add(500*time.Millisecond)) // was the last
	all.Set(entries[2], time.Time{})
	all.Set(entries[2], time.Time{}) // twice is no harm
	for _, want := range []*alarm{entries[0], entries[4], entries[3]} {
		if got := all.PopDue(now.Add(3 * time.Second)); got != want {
			t.Fatalf("due = %v, want %v", got, want)
		}
	}
	if got := all.PopDue(now.Add(3 * time.Second)); got != nil {
		t.Errorf("due = %v, and should not be", got)
	}
	if at := all.Next(now); !at.Equal(now.Add(4 * time.Second)) {
		t.Errorf("the one that is left is due at %s", at)
	}
}

func TestSooner(t *testing.T) {
	t.Parallel()
	none, early, late := time.Time{}, time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range [][3]time.Time{{none, none, none}, {none, late, late}, {early, none, early}, {early, late, early}, {late, early, early}} {
		if got := loop.Sooner(c[0], c[1]); !got.Equal(c[2]) {
			t.Errorf("of %s and %s it is %s", c[0], c[1], got)
		}
	}
}

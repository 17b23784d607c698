// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package heap_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mailpush.internal/services/listener-worker/internal/heap"
)

// life is a process that allocates at given rates.
type life struct {
	policy    heap.Policy
	now       time.Time
	allocated uint64
	last      heap.Choice
	releases  int
}

func begin() *life {
	l := &life{now: time.Unix(1_800_000_000, 0)}
	l.last = l.policy.Next(heap.Sample{At: l.now})
	return l
}

// run lets time pass, of which each second allocates so many bytes.
func (l *life) run(lasts time.Duration, perSecond uint64) heap.Choice {
	const step = 2 * time.Second
	for end := l.now.Add(lasts); l.now.Before(end); {
		l.now = l.now.Add(step)
		l.allocated += perSecond * uint64(step/time.Second)
		l.last = l.policy.Next(heap.Sample{Allocated: l.allocated, At: l.now})
		if l.last.Release {
			l.releases++
		}
	}
	return l.last
}

const (
	little  = 100 << 10
	between = 6 << 20
	much    = 50 << 20
)

func TestAProcessBeginsLooseAndGetsTightWhenItIsCalm(t *testing.T) {
	t.Parallel()
	l := begin()
	loose := l.last.Percent
	if got := l.run(20*time.Second, much); got.Percent != loose || l.releases != 0 {
		t.Errorf("in the first storm: %+v after %d releases", got, l.releases)
	}
	if got := l.run(4*time.Second, little); got.Percent != loose {
		t.Errorf("a pause within the storm: %+v", got)
	}
	if got := l.run(10*time.Minute, little); got.Percent >= loose || l.releases != 1 {
		t.Errorf("calm: %+v after %d releases", got, l.releases)
	}
}

func TestAStormIsNoticedAtOnceAndReleasedOnce(t *testing.T) {
	t.Parallel()
	l := begin()
	tight := l.run(time.Minute, little).Percent
	loose := l.run(2*time.Second, much).Percent
	if loose <= tight {
		t.Fatalf("%d %% while calm, %d %% in a storm", tight, loose)
	}
	l.run(2*time.Minute, much)
	if l.releases != 0 {
		t.Errorf("%d releases without a storm, or within one", l.releases)
	}
	if got := l.run(10*time.Second, little); got.Percent != tight || l.releases != 1 {
		t.Errorf("after the storm: %+v after %d releases", got, l.releases)
	}
	if l.run(10*time.Minute, little); l.releases != 1 {
		t.Errorf("%d releases after one storm", l.releases)
	}
}

func TestALoadBetweenChangesNothing(t *testing.T) {
	t.Parallel()
	calm, stormy := begin(), begin()
	tight := calm.run(time.Minute, little).Percent
	if got := calm.run(10*time.Minute, between).Percent; got != tight {
		t.Errorf("%d %% became %d %%", tight, got)
	}
	loose := stormy.run(time.Minute, much).Percent
	if got := stormy.run(10*time.Minute, between).Percent; got != loose {
		t.Errorf("%d %% became %d %%", loose, got)
	}
}

// Storms that come and go all the time do not take the memory away each time.
func TestReleasesAreRare(t *testing.T) {
	t.Parallel()
	l := begin()
	for range 60 {
		l.run(4*time.Second, much)
		if tight := l.run(16*time.Second, little).Percent; tight >= 100 {
			t.Fatalf("%d %% while it is calm", tight)
		}
	}
	if l.releases < 10 || l.releases > 21 {
		t.Errorf("%d releases in 20 minutes", l.releases)
	}
}

// A clock that stands still or a counter that begins anew makes no storm and no harm.
func TestOddSamplesAreHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var policy heap.Policy
		now, released := time.Unix(1_800_000_000, 0), time.Time{}
		for range rapid.IntRange(1, 200).Draw(t, "samples") {
			now = now.Add(time.Duration(rapid.Int64Range(-1e9, 1e11).Draw(t, "step")))
			choice := policy.Next(heap.Sample{Allocated: rapid.Uint64().Draw(t, "allocated"), At: now})
			if choice.Percent < 10 || choice.Percent > 100 {
				t.Fatalf("%+v", choice)
			}
			if choice.Release {
				if !released.IsZero() && now.Sub(released) < time.Minute {
					t.Fatalf("released after %s again", now.Sub(released))
				}
				released = now
			}
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package moment

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

func TestAMomentIsTheTimeItWasMadeOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Wall clocks alone, as in tests and from the network: any time of 180 years.
		epoch := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
		draw := func(name string) time.Time {
			return epoch.Add(time.Duration(rapid.Int64Range(0, int64(180*365*24*time.Hour)).Draw(t, name)))
		}
		a, b, now := draw("a"), draw("b"), draw("now")
		if got := Of(a).Time(now); !got.Equal(a) {
			t.Fatalf("%s became %s", a, got)
		}
		if got, want := Of(b).Sub(Of(a)), b.Sub(a); got != want {
			t.Fatalf("%s apart, want %s", got, want)
		}
		if (Of(a) < Of(b)) != a.Before(b) {
			t.Fatalf("%s and %s have lost their order", a, b)
		}
	})
}

func TestNoTimeIsNoMoment(t *testing.T) {
	t.Parallel()
	if m := Of(time.Time{}); !m.IsZero() || !m.Time(time.Now()).IsZero() {
		t.Errorf("the zero time is %d", m)
	}
	for _, at := range []time.Time{origin, origin.Add(-time.Hour), time.Unix(0, 0), time.Now()} {
		if Of(at) <= 0 {
			t.Errorf("%s is no later than no time", at)
		}
	}
}

// The wall clock is set while a moment is remembered: what has passed since is as
// before, and people are shown the clock as it stands now.
func TestAClockThatIsSetChangesNoDistance(t *testing.T) {
	t.Parallel()
	before := time.Now()
	m := Of(before)
	for _, set := range []time.Duration{time.Hour, -time.Hour} {
		now := setClock(before.Add(time.Minute), set)
		got := m.Time(now)
		if passed := now.Sub(got); passed != time.Minute {
			t.Errorf("clock set by %s: %s have passed, want a minute", set, passed)
		}
		if want := before.Round(0).Add(set); !got.Round(0).Equal(want) {
			t.Errorf("clock set by %s: it was at %s, want %s", set, got, want)
		}
		if later := Of(now); later.Sub(m) != time.Minute {
			t.Errorf("clock set by %s: %s lie between, want a minute", set, later.Sub(m))
		}
	}
}

// setClock is a time as it would be if the wall clock had been set meanwhile: only whole
// seconds change, which are in the first word beside the monotonic reading's mark.
func setClock(t time.Time, by time.Duration) time.Time {
	const secondsAt = 30
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << secondsAt
	return t
}

func TestMomentsHoldWhereTheClockIsFake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		m := Of(began).Add(time.Hour)
		<-time.After(time.Until(m.Time(began)))
		if passed := time.Since(began); passed != time.Hour {
			t.Errorf("waited %s", passed)
		}
		if got := m.Time(time.Now()); !got.Equal(began.Add(time.Hour)) {
			t.Errorf("%s", got)
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"slices"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

func TestSignalOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		result transport.Result
		want   Signal
	}{
		"accepted":             {transport.Result{}, Works},
		"500":                  {transport.Result{Class: transport.Retry}, Fails},
		"no answer in time":    {transport.Result{Class: transport.Retry, Unanswered: true}, Fails},
		"refused":              {transport.Result{Class: transport.Retry, Unanswered: true, Unreached: true}, Unreached},
		"a wrong certificate":  {transport.Result{Class: transport.Misconfigured, Unanswered: true, Unreached: true}, Unreached},
		"429 with Retry-After": {transport.Result{Class: transport.Retry, After: time.Second}, Own},
		"401":                  {transport.Result{Class: transport.Auth}, Own},
		"a redirect":           {transport.Result{Class: transport.Misconfigured}, Own},
		"400":                  {transport.Result{Class: transport.PermanentItem}, Own},
		"410":                  {transport.Result{Class: transport.Gone}, Own},
		"a URL that is refused here": {
			transport.Result{Class: transport.Misconfigured, Unanswered: true}, Nothing,
		},
	} {
		if got := SignalOf(c.result); got != c.want {
			t.Errorf("%s: signal %d, want %d", name, got, c.want)
		}
	}
}

func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	times := func(s Signal, n int) []Signal { return slices.Repeat([]Signal{s}, n) }
	for name, c := range map[string]struct {
		results []Signal
		want    State
	}{
		"nothing":                      {nil, Closed},
		"one failure less":             {times(Fails, breakAfter-1), Closed},
		"enough failures":              {times(Fails, breakAfter), Open},
		"one less in vain":             {times(Unreached, breakAfter/inVain-1), Closed},
		"enough in vain":               {times(Unreached, breakAfter/inVain), Open},
		"of both":                      {slices.Concat(times(Unreached, 3), times(Fails, breakAfter-3*inVain)), Open},
		"a success between":            {slices.Concat(times(Fails, 19), times(Works, 1), times(Fails, 19)), Closed},
		"endpoints' own between":       {slices.Concat(times(Fails, 10), times(Own, 5), times(Fails, 10)), Open},
		"endpoints' own":               {times(Own, 100), Closed},
		"nothing asked":                {times(Nothing, 100), Closed},
		"late answers change nothing":  {slices.Concat(times(Fails, 20), times(Own, 50), times(Fails, 50), times(Unreached, 50)), Open},
		"a late success closes it":     {slices.Concat(times(Fails, 20), times(Works, 1)), Closed},
		"closed it counts from zero":   {slices.Concat(times(Fails, 20), times(Works, 1), times(Fails, 19)), Closed},
		"closed it opens once more so": {slices.Concat(times(Fails, 20), times(Works, 1), times(Fails, 20)), Open},
	} {
		b := &Breaker{}
		for _, s := range c.results {
			before := b.state
			if changed := b.Result(s, true, time.Time{}, 1); changed != (b.state != before) {
				t.Errorf("%s: it said %v of a change from %v to %v", name, changed, before, b.state)
			}
		}
		if b.state != c.want {
			t.Errorf("%s: %v, want %v", name, b.state, c.want)
		}
	}
}

func TestOneEndpointThatFailsOpensNoBreaker(t *testing.T) {
	t.Parallel()
	b := &Breaker{}
	for range 100 {
		if b.Result(Fails, false, time.Time{}, 1) {
			t.Fatal("it has opened")
		}
	}
	if !b.Result(Fails, true, time.Time{}, 1) || b.State() != Open {
		t.Error("it has not opened although others fail, too")
	}
	for _, c := range []struct {
		failing, endpoints int
		want               bool
	}{{1, 1, false}, {1, 2, false}, {2, 2, true}, {2, 3, false}, {3, 3, true}, {2, 1000, false}, {3, 1000, true}} {
		if got := Suspicious(c.failing, c.endpoints); got != c.want {
			t.Errorf("%d of %d fail: suspicious %v", c.failing, c.endpoints, got)
		}
	}
}

// A cool-down is an eighth of what the outage has lasted, within bounds, and at least half
// of that.
func TestCoolDownGrowsWithTheOutage(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_000_000, 0)
	for lasts, want := range map[time.Duration]time.Duration{
		0: minCoolDown, 40 * time.Second: minCoolDown, 80 * time.Second: 10 * time.Second,
		8 * time.Minute: time.Minute, time.Hour: maxCoolDown, 100 * time.Hour: maxCoolDown,
	} {
		for _, draw := range []float64{0, 0.5, 1} {
			b := &Breaker{state: HalfOpen, first: began}
			now := began.Add(lasts)
			if !b.Result(Unreached, true, now, draw) || b.State() != Open {
				t.Fatal("it does not open although nobody can be reached")
			}
			want := want/2 + time.Duration(draw*float64(want/2))
			if got := b.Until().Sub(now); got != want {
				t.Errorf("after %s the cool-down is %s, want %s", lasts, got, want)
			}
			if b.Tick(b.Until().Add(-1), draw) || !b.Tick(b.Until(), draw) || b.State() != HalfOpen {
				t.Error("the cool-down does not end when it is over")
			}
		}
	}
}

// Failures that lie days apart are no outage of days.
func TestAnOutageBeginsWithTheFailuresThatBelongTogether(t *testing.T) {
	t.Parallel()
	b, now := &Breaker{}, time.Unix(1_000_000, 0)
	b.Result(Fails, true, now, 1)
	now = now.Add(24 * time.Hour)
	for b.State() == Closed {
		b.Result(Fails, true, now, 1)
	}
	if got := b.Until().Sub(now); got != minCoolDown {
		t.Errorf("the first cool-down is %s, want %s", got, minCoolDown)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
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
		"503":                  {transport.Result{Class: transport.Retry}, Fails},
		"no answer":            {transport.Result{Class: transport.Retry, Unanswered: true}, Fails},
		"429 with Retry-After": {transport.Result{Class: transport.Retry, After: time.Second}, Busy},
		"401":                  {transport.Result{Class: transport.Auth}, Fails},
		"a wrong certificate":  {transport.Result{Class: transport.Misconfigured, Unanswered: true}, Fails},
		"a redirect":           {transport.Result{Class: transport.Misconfigured}, Speaks},
		"400":                  {transport.Result{Class: transport.PermanentItem}, Speaks},
		"410":                  {transport.Result{Class: transport.Gone}, Speaks},
	} {
		if got := SignalOf(c.result); got != c.want {
			t.Errorf("%s: signal %d, want %d", name, got, c.want)
		}
	}
}

// broken is a breaker that has just opened at the beginning of time.
func broken() *Breaker {
	b := &Breaker{}
	for range breakAfter {
		b.Result(Fails, true, time.Time{}, 1)
	}
	return b
}

func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	repeat := func(s Signal, times int) []Signal {
		out := make([]Signal, times)
		for i := range out {
			out[i] = s
		}
		return out
	}
	join := func(parts ...[]Signal) []Signal {
		var out []Signal
		for _, part := range parts {
			out = append(out, part...)
		}
		return out
	}
	for name, c := range map[string]struct {
		results []Signal
		want    State
	}{
		"nothing":                      {nil, Closed},
		"one failure less":             {repeat(Fails, breakAfter-1), Closed},
		"enough failures":              {repeat(Fails, breakAfter), Open},
		"a success between":            {join(repeat(Fails, 19), repeat(Works, 1), repeat(Fails, 19)), Closed},
		"refusals of items between":    {join(repeat(Fails, 10), repeat(Speaks, 5), repeat(Fails, 10)), Open},
		"pauses asked for":             {repeat(Busy, 100), Closed},
		"refusals of items":            {repeat(Speaks, 100), Closed},
		"late answers change nothing":  {join(repeat(Fails, 20), repeat(Busy, 50), repeat(Speaks, 1), repeat(Fails, 50)), Open},
		"a late success closes it":     {join(repeat(Fails, 20), repeat(Works, 1)), Closed},
		"closed it counts from zero":   {join(repeat(Fails, 20), repeat(Works, 1), repeat(Fails, 19)), Closed},
		"closed it opens once more so": {join(repeat(Fails, 20), repeat(Works, 1), repeat(Fails, 20)), Open},
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
		ailing, endpoints int
		want              bool
	}{{1, 1, true}, {1, 2, false}, {2, 2, true}, {2, 3, false}, {3, 3, true}, {2, 1000, false}, {3, 1000, true}} {
		if got := Suspicious(c.ailing, c.endpoints); got != c.want {
			t.Errorf("%d of %d fail: suspicious %v", c.ailing, c.endpoints, got)
		}
	}
}

func TestBreakerLetsOneThroughAfterTheCoolDown(t *testing.T) {
	t.Parallel()
	b := broken()
	if b.Limit(64) != 0 || b.Tick(time.Time{}.Add(minCoolDown-1)) {
		t.Error("something is let through before the cool-down is over")
	}
	if !b.Tick(time.Time{}.Add(minCoolDown)) || b.Limit(64) != 1 {
		t.Error("not one is let through after the cool-down")
	}
	for name, c := range map[string]struct {
		answer Signal
		state  State
		limit  int
		again  time.Duration // the next cool-down
	}{
		"works":  {Works, Closed, 64, 0},
		"speaks": {Speaks, Closed, 64, 0},
		"fails":  {Fails, Open, 0, 2 * minCoolDown},
		"busy":   {Busy, Open, 0, minCoolDown},
	} {
		after := *b
		after.Result(c.answer, true, time.Time{}, 1)
		if after.state != c.state || after.Limit(64) != c.limit || after.coolDown != c.again {
			t.Errorf("%s: %+v", name, after)
		}
	}
}

func TestCoolDownDoublesUpToItsLimit(t *testing.T) {
	t.Parallel()
	b := broken()
	var now time.Time
	var waits []time.Duration
	for range 9 {
		waits = append(waits, b.until.Sub(now))
		now = b.until
		b.Tick(now)
		b.Result(Fails, true, now, 1)
	}
	for i, seconds := range []int{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		if waits[i] != time.Duration(seconds)*time.Second {
			t.Errorf("cool-down %d is %v, want %d s", i, waits[i], seconds)
		}
	}
	least := &Breaker{}
	least.open(minCoolDown, time.Time{}, 0)
	if least.until.Sub(time.Time{}) != minCoolDown/2 {
		t.Errorf("the shortest cool-down is %v", least.until.Sub(time.Time{}))
	}
}

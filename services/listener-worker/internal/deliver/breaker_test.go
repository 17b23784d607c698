// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/pump"
)

func TestVerdictOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		result pump.Result
		want   verdict
	}{
		"accepted":             {pump.Result{}, works},
		"503":                  {pump.Result{Class: pump.Retry}, fails},
		"no answer":            {pump.Result{Class: pump.Retry, Unanswered: true}, fails},
		"429 with Retry-After": {pump.Result{Class: pump.Retry, After: time.Second}, busy},
		"401":                  {pump.Result{Class: pump.Auth}, fails},
		"a wrong certificate":  {pump.Result{Class: pump.Misconfigured, Unanswered: true}, fails},
		"a redirect":           {pump.Result{Class: pump.Misconfigured}, speaks},
		"400":                  {pump.Result{Class: pump.PermanentItem}, speaks},
		"410":                  {pump.Result{Class: pump.Gone}, speaks},
	} {
		if got := verdictOf(c.result); got != c.want {
			t.Errorf("%s: verdict %d, want %d", name, got, c.want)
		}
	}
}

// broken is a breaker that has just opened at the beginning of time.
func broken() *breaker {
	b := &breaker{}
	for range breakAfter {
		b.result(fails, time.Time{}, 1)
	}
	return b
}

func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	repeat := func(v verdict, times int) []verdict {
		out := make([]verdict, times)
		for i := range out {
			out[i] = v
		}
		return out
	}
	join := func(parts ...[]verdict) []verdict {
		var out []verdict
		for _, part := range parts {
			out = append(out, part...)
		}
		return out
	}
	for name, c := range map[string]struct {
		results []verdict
		want    breakerState
	}{
		"nothing":                      {nil, closed},
		"one failure less":             {repeat(fails, breakAfter-1), closed},
		"enough failures":              {repeat(fails, breakAfter), open},
		"a success between":            {join(repeat(fails, 19), repeat(works, 1), repeat(fails, 19)), closed},
		"refusals of items between":    {join(repeat(fails, 10), repeat(speaks, 5), repeat(fails, 10)), open},
		"pauses asked for":             {repeat(busy, 100), closed},
		"refusals of items":            {repeat(speaks, 100), closed},
		"late answers change nothing":  {join(repeat(fails, 20), repeat(busy, 50), repeat(speaks, 1), repeat(fails, 50)), open},
		"a late success closes it":     {join(repeat(fails, 20), repeat(works, 1)), closed},
		"closed it counts from zero":   {join(repeat(fails, 20), repeat(works, 1), repeat(fails, 19)), closed},
		"closed it opens once more so": {join(repeat(fails, 20), repeat(works, 1), repeat(fails, 20)), open},
	} {
		b := &breaker{}
		for _, v := range c.results {
			before := b.state
			if changed := b.result(v, time.Time{}, 1); changed != (b.state != before) {
				t.Errorf("%s: it said %v of a change from %v to %v", name, changed, before, b.state)
			}
		}
		if b.state != c.want {
			t.Errorf("%s: %v, want %v", name, b.state, c.want)
		}
	}
}

func TestBreakerLetsOneThroughAfterTheCoolDown(t *testing.T) {
	t.Parallel()
	b := broken()
	if b.limit(64) != 0 || b.tick(time.Time{}.Add(minCoolDown-1)) {
		t.Error("something is let through before the cool-down is over")
	}
	if !b.tick(time.Time{}.Add(minCoolDown)) || b.limit(64) != 1 {
		t.Error("not one is let through after the cool-down")
	}
	for name, c := range map[string]struct {
		answer verdict
		state  breakerState
		limit  int
		again  time.Duration // the next cool-down
	}{
		"works":  {works, closed, 64, 0},
		"speaks": {speaks, closed, 64, 0},
		"fails":  {fails, open, 0, 2 * minCoolDown},
		"busy":   {busy, open, 0, minCoolDown},
	} {
		after := *b
		after.result(c.answer, time.Time{}, 1)
		if after.state != c.state || after.limit(64) != c.limit || after.coolDown != c.again {
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
		b.tick(now)
		b.result(fails, now, 1)
	}
	for i, seconds := range []int{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		if waits[i] != time.Duration(seconds)*time.Second {
			t.Errorf("cool-down %d is %v, want %d s", i, waits[i], seconds)
		}
	}
	least := &breaker{}
	least.open(minCoolDown, time.Time{}, 0)
	if least.until.Sub(time.Time{}) != minCoolDown/2 {
		t.Errorf("the shortest cool-down is %v", least.until.Sub(time.Time{}))
	}
}

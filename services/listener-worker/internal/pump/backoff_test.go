// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/pump"
)

func TestBackOffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	full := pump.NewPolicy(pump.Policy{Random: func() float64 { return 1 }})
	for _, c := range []struct {
		class       pump.Class
		first, last time.Duration
	}{
		{pump.Retry, 2 * time.Second, 15 * time.Minute},
		{pump.Auth, 5 * time.Minute, time.Hour},
		{pump.Misconfigured, 5 * time.Minute, time.Hour},
		{pump.Gone, 5 * time.Minute, time.Hour},
	} {
		p := pump.New(full, pump.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true})
		p.Step(head(12), epoch())
		now := epoch()
		var waits []time.Duration
		for range 12 {
			p.Step(pump.Turn{}, now)
			p.Step(fetched(11, 11, 11), now)
			all := p.Step(answer(c.class), now)
			until := all[len(all)-1].(pump.Wait).Until //nolint:errcheck // a panic is a failure
			waits = append(waits, until.Sub(now))
			now = until
			p.Step(pump.Tick{}, now)
		}
		if waits[0] != c.first || waits[11] != c.last {
			t.Errorf("%v: waits %v, want %v up to %v", c.class, waits, c.first, c.last)
		}
	}
}

func TestAnEndpointThatFailsForAnHourIsTriedAboutFifteenTimes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	jittered := pump.NewPolicy(pump.Policy{Random: random.Float64})
	const pumps = 10_000
	probes := 0
	for range pumps {
		w := newWorld(t, pump.New(jittered, pump.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true}))
		w.answer = func(pump.Batch) pump.Result {
			return pump.Result{Class: pump.Retry, Detail: "the endpoint answered 503"}
		}
		w.arrive(1)
		w.run(time.Hour)
		probes += len(w.requests)
		if size := pump.SizeOf(w.pump); size >= 1<<10 {
			t.Fatalf("a waiting pump takes %d bytes", size)
		}
	}
	mean := float64(probes) / pumps
	t.Logf("%.1f probes in an hour, %d bytes without what is remembered of the answer", mean, pump.SizeOf(begin(pump.ModeBatch)))
	if mean < 10 || mean > 20 {
		t.Errorf("%.1f probes in an hour on average, want 10 to 20", mean)
	}
}

// A gateway may tell all its endpoints the same time to come back.
func TestEndpointsThatWereToldTheSameTimeDoNotComeBackAtOnce(t *testing.T) {
	t.Parallel()
	for name, awake := range map[string]bool{"by themselves": false, "when their origin is well again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(3, 4))
			jittered := pump.NewPolicy(pump.Policy{Random: random.Float64})
			back := make(map[time.Duration]int) // by tenths of a second
			for range 1000 {
				p := pump.New(jittered, pump.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true})
				p.Step(head(12), epoch())
				p.Step(pump.Turn{}, epoch())
				p.Step(fetched(11, 11, 11), epoch())
				all := p.Step(pump.Sent{Result: pump.Result{Class: pump.Retry, After: time.Minute}}, epoch())
				if awake {
					all = p.Step(pump.Awake{}, epoch().Add(time.Second))
				}
				after := all[len(all)-1].(pump.Wait).Until.Sub(epoch()) //nolint:errcheck // a panic is a failure
				if after < time.Minute || after > time.Minute+2*time.Second {
					t.Fatalf("told to come back after a minute, one does after %s", after)
				}
				back[after.Truncate(100*time.Millisecond)]++
			}
			for at, count := range back {
				if count > 200 {
					t.Errorf("%d of 1000 come back after %s", count, at)
				}
			}
		})
	}
}

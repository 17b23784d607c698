// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"math/rand/v2"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func TestBackOffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	full := pump.NewPolicy(pump.Policy{Random: func() float64 { return 1 }})
	for _, c := range []struct {
		result      transport.Result
		first, last time.Duration
	}{
		{transport.Result{Class: transport.Retry}, 2 * time.Second, 15 * time.Minute},
		{transport.Result{Class: transport.Auth}, 5 * time.Minute, time.Hour},
		{transport.Result{Class: transport.Misconfigured}, 5 * time.Minute, time.Hour},
		{goneForGood(), 5 * time.Minute, time.Hour},
		{notFound(), 2 * time.Second, time.Hour}, // a deployment must not cost minutes
	} {
		p := pump.New(full, mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true})
		p.Step(head(12), epoch())
		now := epoch()
		var waits []time.Duration
		for range 12 {
			p.Step(pump.Turn{}, now)
			p.Step(fetched(11, 11, 11), now)
			all := p.Step(pump.Sent{Result: c.result}, now)
			until := all[len(all)-1].(pump.Wait).Until //nolint:errcheck // a panic is a failure
			waits = append(waits, until.Sub(now))
			now = until
			p.Step(pump.Tick{}, now)
		}
		if waits[0] != c.first || waits[11] != c.last {
			t.Errorf("%+v: waits %v, want %v up to %v", c.result, waits, c.first, c.last)
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
		w := newWorld(t, pump.New(jittered, mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true}))
		w.answer = func(transport.Batch) transport.Result {
			return transport.Result{Class: transport.Retry, Detail: "the endpoint answered 503"}
		}
		w.arrive(1)
		w.run(time.Hour)
		probes += len(w.requests)
		if size := pump.SizeOf(w.pump); size >= 1<<10 {
			t.Fatalf("a waiting pump takes %d bytes", size)
		}
	}
	mean := float64(probes) / pumps
	t.Logf("%.1f probes in an hour, %d bytes without what is remembered of the answer", mean, pump.SizeOf(begin(mailv1.Mode_MODE_BATCH)))
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
				p := pump.New(jittered, mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true})
				p.Step(head(12), epoch())
				p.Step(pump.Turn{}, epoch())
				p.Step(fetched(11, 11, 11), epoch())
				all := p.Step(pump.Sent{Result: transport.Result{Class: transport.Retry, After: time.Minute}}, epoch())
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

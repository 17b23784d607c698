// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"
	"unsafe"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// A push that is tried again is the same one: it says the same time, although the wall
// clock has been set in between.
func TestAPushTellsTheSameTimeOnEveryTry(t *testing.T) {
	t.Parallel()
	p, now := begin(mailv1.Mode_MODE_BATCH), time.Now()
	noticed := head(12)
	noticed.Noticed = now
	p.Step(noticed, now)
	send := func(at time.Time) transport.Batch {
		p.Step(pump.Turn{}, at)
		effects := p.Step(fetched(11, 11, 11), at)
		sent, made := effects[len(effects)-1].(pump.Send)
		if !made {
			t.Fatalf("nothing is sent: %+v", effects)
		}
		return sent.Batch
	}
	first := send(now)
	p.Step(answer(transport.Retry), now)
	later := setClock(now.Add(time.Hour), -24*time.Hour)
	p.Step(pump.Tick{}, later)
	if again := send(later); again.Attempt != 2 || !again.Noticed.Round(0).Equal(first.Noticed.Round(0)) {
		t.Errorf("try %d tells of %s, the first told of %s", again.Attempt, again.Noticed, first.Noticed)
	}
}

// A wait lasts as long as it was to, although the wall clock has been set in between.
func TestAWaitLastsAlthoughTheClockIsSet(t *testing.T) {
	t.Parallel()
	for _, set := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		p, now := begin(mailv1.Mode_MODE_BATCH), time.Now()
		p.Step(head(12), now)
		p.Step(pump.Turn{}, now)
		p.Step(fetched(11, 11, 11), now)
		effects := p.Step(answer(transport.Retry), now)
		wait, waits := effects[len(effects)-1].(pump.Wait)
		if !waits {
			t.Fatalf("no wait: %+v", effects)
		}
		until := wait.Until.Sub(now)
		if early := p.Step(pump.Tick{}, setClock(now.Add(until-time.Millisecond), set)); len(early) > 0 {
			t.Errorf("clock set by %s: tried again too early", set)
		}
		if due := p.Step(pump.Tick{}, setClock(now.Add(until), set)); len(due) != 1 {
			t.Errorf("clock set by %s: not tried again in time: %+v", set, due)
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

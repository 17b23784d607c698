// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func refusal() pump.Sent {
	return pump.Sent{Result: transport.Result{Class: transport.PermanentItem, Detail: "the endpoint answered 400"}}
}

// sentBatches is how a simulated world's requests read: the UIDs of their ranges.
func sentBatches(w *world) []string {
	var out []string
	for _, batch := range w.requests {
		out = append(out, fmt.Sprintf("%d-%d", batch.From, batch.Upto))
	}
	return out
}

// refusing has a world's endpoint refuse some mails for good and accept the others.
func refusing(uids ...uint32) func(transport.Batch) transport.Result {
	return func(batch transport.Batch) transport.Result {
		if slices.ContainsFunc(batch.Mails, func(mail mailbox.Mail) bool { return slices.Contains(uids, mail.UID) }) {
			return refusal().Result
		}
		return transport.Result{}
	}
}

// skipped is what a dead letter of one mail looks like.
func skipped(uid uint32) pump.Skip {
	return pump.Skip{UIDValidity: uv, From: uid, Upto: uid, Reason: "the endpoint answered 400"}
}

func TestRefusedMailIsFoundAndSteppedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = refusing(13)
	w.arrive(8) // 11 to 18
	w.run(9 * time.Minute)
	if len(w.skips) > 0 || w.cursor.UID != 12 {
		t.Errorf("skipped %v, the cursor is at %d after nine minutes", w.skips, w.cursor.UID)
	}
	w.run(time.Hour)
	sent := slices.Compact(sentBatches(w)) // the one mail is tried as often as it takes
	want := []string{"11-18", "11-14", "11-12", "13-14", "13-13", "14-14", "13-13", "15-15", "16-17", "18-18"}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]pump.Skip{skipped(13)}, w.skips); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if w.cursor.UID != 18 {
		t.Errorf("the cursor is at %d", w.cursor.UID)
	}
}

// A batch is halved at the pace of any other failure: the endpoint may be at fault.
func TestBatchIsHalvedAtItsPace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	var at []time.Duration
	w.answer = func(transport.Batch) transport.Result {
		at = append(at, w.now.Sub(epoch()))
		return refusal().Result
	}
	w.arrive(8)
	w.run(time.Minute)
	want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second}
	if !slices.Equal(at, want) {
		t.Errorf("tried at %v, want %v", at, want)
	}
}

func TestSeveralRefusedMailsInARow(t *testing.T) {
	t.Parallel()
	for _, mode := range []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH} {
		w := newWorld(t, begin(mode))
		w.answer = refusing(12, 13, 14, 16)
		w.arrive(8)
		w.run(3 * time.Hour)
		if diff := cmp.Diff([]pump.Skip{skipped(12), skipped(13), skipped(14), skipped(16)}, w.skips); diff != "" {
			t.Errorf("%s: dead letters (-want +got):\n%s", mode, diff)
		}
		if w.cursor.UID != 18 {
			t.Errorf("%s: the cursor is at %d", mode, w.cursor.UID)
		}
		w.checkOrder()
	}
}

// A receiver with a wrong secret answers 400 to everything, until it is mended: for
// whatever time that is, nothing is stepped over, nothing comes out of order.
func TestEndpointThatRefusesEverythingForAWhile(t *testing.T) {
	t.Parallel()
	for _, mode := range []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH, mailv1.Mode_MODE_LATEST} {
		for _, lasts := range []time.Duration{time.Second, time.Minute, 11 * time.Minute, 50 * time.Minute, 5 * time.Hour, 23 * time.Hour} {
			w := newWorld(t, begin(mode))
			w.answer = func(transport.Batch) transport.Result {
				if w.now.Sub(epoch()) < lasts {
					return refusal().Result
				}
				return transport.Result{}
			}
			w.arrive(30)
			w.run(lasts / 2)
			w.arrive(30)
			w.run(26 * time.Hour)
			if len(w.skips) > 0 || w.cursor.UID != 70 {
				t.Errorf("%s, %s: skipped %v, the cursor is at %d", mode, lasts, w.skips, w.cursor.UID)
			}
			w.checkOrder()
		}
	}
}

// With nothing behind it there is nothing to compare it with: a day has to be enough.
func TestLastMailThatIsRefusedIsTriedForADay(t *testing.T) {
	t.Parallel()
	for _, mode := range []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH, mailv1.Mode_MODE_LATEST} {
		w := newWorld(t, begin(mode))
		w.answer = refusing(11)
		w.arrive(1)
		w.run(23*time.Hour + 50*time.Minute)
		if len(w.skips) > 0 {
			t.Fatalf("%s: %v within a day", mode, w.skips)
		}
		w.run(time.Hour)
		if diff := cmp.Diff([]pump.Skip{skipped(11)}, w.skips); diff != "" {
			t.Errorf("%s: dead letters (-want +got):\n%s", mode, diff)
		}
		w.run(time.Hour)
		if len(w.requests) > 250 {
			t.Errorf("%s: %d requests in a day", mode, len(w.requests))
		}
	}
}

// One that comes later is what it is compared with, by and by.
func TestMailThatComesLaterEndsTheDoubt(t *testing.T) {
	t.Parallel()
	for _, mode := range []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH, mailv1.Mode_MODE_LATEST} {
		w := newWorld(t, begin(mode))
		w.answer = refusing(11)
		w.arrive(1)
		w.run(time.Hour)
		w.arrive(1)
		w.run(15 * time.Minute)
		if diff := cmp.Diff([]pump.Skip{skipped(11)}, w.skips); diff != "" || w.cursor.UID != 12 {
			t.Errorf("%s: the cursor is at %d, dead letters (-want +got):\n%s", mode, w.cursor.UID, diff)
		}
	}
}

// Three tries and ten minutes are no evidence while the endpoint takes nothing else.
func TestEndpointThatRefusesEverythingGetsEverSlower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = func(transport.Batch) transport.Result { return refusal().Result }
	w.arrive(1000)
	w.run(24 * time.Hour)
	// 450 s between tries, each of five mails.
	if n := len(w.requests); n < 800 || n > 1100 {
		t.Errorf("%d requests in a day", n)
	}
	if n := len(w.skips); n > 1 {
		t.Errorf("%d dead letters in a day", n)
	}
	w.run(24 * time.Hour)
	if n := len(w.skips); n < 1 || n > 10 {
		t.Errorf("%d dead letters in two days", n)
	}
}

// It is in doubt what is behind a refused mail: the last try is after the one that was
// accepted. What is accepted then is not stepped over.
func TestRefusedMailThatIsAcceptedAtTheLastTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	proven := false
	w.answer = func(batch transport.Batch) transport.Result {
		if batch.From > 11 {
			proven = true
			return transport.Result{}
		}
		if proven {
			return transport.Result{}
		}
		return refusal().Result
	}
	w.arrive(2)
	w.run(time.Hour)
	if len(w.skips) > 0 || w.cursor.UID != 12 {
		t.Errorf("skipped %v, the cursor is at %d", w.skips, w.cursor.UID)
	}
	if diff := cmp.Diff([]string{"11-12", "11-11", "12-12", "11-11"}, slices.Compact(sentBatches(w))); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// The item behind is gone when it is to be tried; the doubt goes on with the next.
func TestDoubtOverMailsThatLeaveTheFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = refusing(11, 12)
	w.arrive(400)
	w.run(12 * time.Minute) // 11 is in doubt, and 12 refused as well
	for uid := range uint32(398) {
		if uid+12 != 405 {
			delete(w.present, uid+12)
		}
	}
	w.run(time.Hour)
	if diff := cmp.Diff([]pump.Skip{skipped(11)}, w.skips); diff != "" || w.cursor.UID != 410 {
		t.Errorf("the cursor is at %d, dead letters (-want +got):\n%s", w.cursor.UID, diff)
	}
	delete(w.present, 11)
	w.checkOrder()
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	t.Run("a renewed subscription begins anew", func(t *testing.T) {
		t.Parallel()
		play(t, begin(mailv1.Mode_MODE_LATEST), []step{
			{0, head(13), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			{0, fetched(11, 12, 11, 12), effects(latest(1, 11, 12, 2, 12))},
			{0, refusal(), effects(pump.Done{}, wait(time.Second))},
			{time.Second, pump.Tick{}, effects(pump.Ready{})},
			{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			{0, fetched(11, 14, 11, 12, 13), effects(latest(2, 11, 12, 2, 12))},
			{0, refusal(), effects(pump.Done{}, wait(2*time.Second))},
			{0, pump.Renewed{Mode: mailv1.Mode_MODE_LATEST, Confirmed: true}, effects(pump.Ready{})},
			{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			{0, fetched(11, 14, 11, 12, 13), effects(latest(1, 11, 14, 3, 13))},
		})
	})
	t.Run("a reset is stepped over when mail behind it is accepted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
		w.answer = func(batch transport.Batch) transport.Result {
			if batch.Reset {
				return refusal().Result
			}
			return transport.Result{}
		}
		w.uv, w.next = uv+1, 31
		w.tell()
		w.run(time.Hour)
		if len(w.skips) > 0 {
			t.Errorf("with nothing to compare it with: %v", w.skips)
		}
		w.arrive(3)
		w.run(time.Hour)
		skip := pump.Skip{UIDValidity: uv + 1, Upto: 30, Reason: "the endpoint answered 400"}
		if diff := cmp.Diff([]pump.Skip{skip}, w.skips); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
		if got, want := w.pump.Status(epoch()).Cursor, (mailbox.Cursor{UIDValidity: uv + 1, UID: 33}); got != want {
			t.Errorf("cursor %v, want %v", got, want)
		}
	})
	t.Run("Retry-After is honoured", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
		w.answer = func(transport.Batch) transport.Result {
			result := refusal().Result
			result.After = 40 * time.Minute
			return result
		}
		w.arrive(1)
		w.run(2 * time.Hour)
		if len(w.requests) != 3 {
			t.Errorf("%d requests in two hours", len(w.requests))
		}
	})
}

func TestReasonIsBounded(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	p.Step(head(12), epoch())
	p.Step(pump.Turn{}, epoch())
	p.Step(fetched(11, 11, 11), epoch())
	p.Step(pump.Sent{Result: transport.Result{Class: transport.Retry, Detail: strings.Repeat("é", 1000)}}, epoch())
	if got := p.Status(epoch()).LastError; len(got) > 200 || !strings.HasPrefix(got, "éé") {
		t.Errorf("it remembers %d bytes", len(got))
	}
}

// What is said against a reset is not said against the mail that comes after it, although
// the folder's end moved while the reset was out.
func TestEvidenceIsAgainstWhatWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	var accepted, probed time.Duration // the reset, and the mail behind the one that is refused
	w.answer = func(batch transport.Batch) transport.Result {
		after := w.now.Sub(epoch())
		switch {
		case batch.Reset && after < time.Minute, batch.From == 1:
			return refusal().Result
		case batch.Reset:
			accepted = after
		case probed == 0:
			probed = after
		}
		return transport.Result{}
	}
	w.uv, w.next = uv+1, 2
	w.tell()
	w.step(w.ask()) // the reset is out, for an end of 1
	w.ask = nil
	w.next = 1
	w.tell()
	w.arrive(2)
	w.run(time.Hour)
	if accepted == 0 || probed < accepted+10*time.Minute {
		t.Errorf("the reset was accepted after %s, the mail behind the refused one tried after %s", accepted, probed)
	}
	if w.cursor.UID != 2 || len(w.skips) != 1 || w.skips[0].From != 1 {
		t.Errorf("the cursor is at %v, dead letters %+v", w.cursor, w.skips)
	}
}

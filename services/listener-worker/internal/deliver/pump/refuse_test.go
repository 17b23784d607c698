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

func TestRefusedMailIsFoundAndSteppedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = func(batch transport.Batch) transport.Result {
		if slices.ContainsFunc(batch.Mails, func(mail mailbox.Mail) bool { return mail.UID == 13 }) {
			return refusal().Result
		}
		return transport.Result{}
	}
	w.arrive(8) // 11 to 18
	w.run(time.Hour)
	want := []string{"11-18", "11-14", "11-12", "13-14", "13-13", "13-13", "13-13", "14-14", "15-16", "17-18"}
	if diff := cmp.Diff(want, sentBatches(w)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	skip := pump.Skip{UIDValidity: uv, From: 13, Upto: 13, Reason: "the endpoint answered 400"}
	if diff := cmp.Diff([]pump.Skip{skip}, w.skips); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestEndpointThatRefusesEverythingGetsEverSlower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = func(transport.Batch) transport.Result { return refusal().Result }
	w.arrive(1000)
	w.run(24 * time.Hour)
	// 6 requests to find the first mail; then three for each, with 450 s between them but
	// for the first.
	if n := len(w.requests); n < 250 || n > 350 {
		t.Errorf("%d requests in a day", n)
	}
	if n := len(w.skips); n < 80 || n > 120 {
		t.Errorf("%d dead letters in a day", n)
	}
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	once := func(after time.Duration, attempt int, want ...pump.Effect) []step {
		return []step{
			{after, pump.Tick{}, effects(pump.Ready{})},
			{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			{0, fetched(11, 12, 11, 12), effects(latest(attempt, 11, 12, 2, 12))},
			{0, refusal(), want},
		}
	}
	skip := pump.Skip{UIDValidity: uv, From: 11, Upto: 12, Reason: "the endpoint answered 400"}
	failing := pump.Failing{Since: epoch(), Reason: "the endpoint answered 400"}
	first := []step{
		{0, head(13), effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		{0, fetched(11, 12, 11, 12), effects(latest(1, 11, 12, 2, 12))},
		{0, refusal(), effects(pump.Done{}, wait(time.Second))},
	}
	t.Run("a push of the latest is tried three times", func(t *testing.T) {
		t.Parallel()
		play(t, begin(mailv1.Mode_MODE_LATEST), slices.Concat(
			first,
			once(time.Second, 2, pump.Done{}, wait(2*time.Second)),
			once(2*time.Second, 3, failing, skip, commit(12), pump.Done{}),
		))
	})
	t.Run("other failures in between do not count", func(t *testing.T) {
		t.Parallel()
		again := once(2*time.Second, 3)
		again[3] = step{0, answer(transport.Retry), effects(pump.Failing{Since: epoch()}, pump.Done{}, wait(4*time.Second))}
		play(t, begin(mailv1.Mode_MODE_LATEST), slices.Concat(
			first,
			once(time.Second, 2, pump.Done{}, wait(2*time.Second)),
			again,
			once(4*time.Second, 4, skip, commit(12), pump.Done{}),
		))
	})
	t.Run("a renewed subscription begins anew", func(t *testing.T) {
		t.Parallel()
		play(t, begin(mailv1.Mode_MODE_LATEST), slices.Concat(
			first,
			once(time.Second, 2, pump.Done{}, wait(2*time.Second)),
			[]step{
				{0, pump.Renewed{Mode: mailv1.Mode_MODE_LATEST, Confirmed: true}, effects(pump.Ready{})},
				{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
				{0, fetched(11, 14, 11, 12, 13), effects(latest(1, 11, 14, 3, 13))},
			},
		))
	})
	t.Run("a reset is tried three times", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
		w.answer = func(transport.Batch) transport.Result { return refusal().Result }
		w.uv, w.next = uv+1, 31
		w.tell()
		w.run(time.Hour)
		skip := pump.Skip{UIDValidity: uv + 1, Upto: 30, Reason: "the endpoint answered 400"}
		if diff := cmp.Diff([]pump.Skip{skip}, w.skips); diff != "" || len(w.requests) != 3 {
			t.Errorf("%d requests, dead letters (-want +got):\n%s", len(w.requests), diff)
		}
		if got, want := w.pump.Status().Cursor, (mailbox.Cursor{UIDValidity: uv + 1, UID: 30}); got != want {
			t.Errorf("cursor %v, want %v", got, want)
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
	if got := p.Status().LastError; len(got) > 200 || !strings.HasPrefix(got, "éé") {
		t.Errorf("it remembers %d bytes", len(got))
	}
}

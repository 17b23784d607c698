// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const uv = 7

func epoch() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// policy draws the middle of every wait: 1 s after the first temporary failure.
func policy() *pump.Policy {
	return pump.NewPolicy(pump.Policy{Random: func() float64 { return 0.5 }})
}

func head(uidNext uint32) pump.Head {
	return pump.Head{UIDValidity: uv, UIDNext: uidNext, Unread: 3, Noticed: epoch()}
}

func mails(uids ...uint32) []mailbox.Mail {
	var out []mailbox.Mail
	for _, uid := range uids {
		out = append(out, mailbox.Mail{UID: uid, Subject: "s"})
	}
	return out
}

func fetched(from, upto uint32, uids ...uint32) pump.Fetched {
	return pump.Fetched{Head: head(upto + 1), From: from, Upto: upto, Mails: mails(uids...)}
}

func batch(attempt int, from, upto uint32, uids ...uint32) pump.Send {
	return pump.Send{Batch: transport.Batch{
		UIDValidity: uv, From: from, Upto: upto, Mails: mails(uids...), Count: len(uids),
		Unread: 3, Noticed: epoch(), Attempt: attempt,
	}}
}

func answer(class transport.Class) pump.Sent {
	return pump.Sent{Result: transport.Result{Class: class}}
}

func commit(uid uint32) pump.Commit {
	return pump.Commit{Cursor: mailbox.Cursor{UIDValidity: uv, UID: uid}}
}

func wait(after time.Duration) pump.Wait { return pump.Wait{Until: epoch().Add(after)} }

// begin is how a pump in the tests is made: cursor at 10, its endpoint confirmed.
func begin(mode mailv1.Mode) *pump.Pump {
	return pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Mode: mode, Confirmed: true})
}

// effects is what a step makes a pump want.
func effects(all ...pump.Effect) []pump.Effect { return all }

// step is an event, when it comes, and what must follow.
type step struct {
	after time.Duration
	event pump.Event
	want  []pump.Effect
}

// play takes a pump through steps.
func play(t *testing.T, p *pump.Pump, steps []step) {
	t.Helper()
	for i, step := range steps {
		got := p.Step(step.event, epoch().Add(step.after))
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Fatalf("step %d, %T: effects (-want +got):\n%s", i, step.event, diff)
		}
	}
}

const patience = 2 * time.Minute

// begun is the way to the first request, for mails 11 and 12.
func begun(more ...step) []step {
	return append([]step{
		{0, head(13), effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		{0, fetched(11, 12, 11, 12), effects(batch(1, 11, 12, 11, 12))},
	}, more...)
}

func TestPump(t *testing.T) {
	t.Parallel()
	renumbered := pump.Head{UIDValidity: uv + 1, UIDNext: 31, Unread: 3, Noticed: epoch()}
	reset := func(attempt int) pump.Send {
		return pump.Send{Batch: transport.Batch{Reset: true, UIDValidity: uv + 1, Upto: 30, Unread: 3, Noticed: epoch(), Attempt: attempt}}
	}
	asked := begun()[:2:2]
	for name, steps := range map[string][]step{
		"nothing new, nothing done": {{0, head(11), nil}},
		"new mail is sent and the cursor committed after": begun(
			step{0, answer(transport.OK), effects(commit(12), pump.Done{})},
		),
		"mail that comes meanwhile gathers": begun(
			step{0, head(15), nil},
			step{0, answer(transport.OK), effects(commit(12), pump.Done{}, wait(time.Second))},
			step{time.Second, pump.Tick{}, effects(pump.Ready{})},
			step{time.Second, pump.Turn{}, effects(pump.Fetch{From: 13}, wait(time.Second+patience))},
		),
		"a refused range is tried again as it was": begun(
			step{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
			step{0, head(15), nil},
			step{0, pump.Tick{}, nil},
			step{time.Second, pump.Tick{}, effects(pump.Ready{})},
			step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			step{0, fetched(11, 14, 12, 13, 14), effects(batch(2, 11, 12, 12))},
			step{0, answer(transport.OK), effects(pump.Commit{Cursor: mailbox.Cursor{UIDValidity: uv, UID: 12}, Vanished: 1}, pump.Done{}, pump.Ready{})},
		),
		"a page that would cut a refused range short is passed over": begun(
			step{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
			step{time.Second, pump.Tick{}, effects(pump.Ready{})},
			step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			step{0, pump.Fetched{Head: head(13), From: 2, Upto: 11, Mails: mails(2, 11)}, effects(pump.Fetch{From: 11})},
		),
		"Retry-After is honoured": begun(
			step{
				0, pump.Sent{Result: transport.Result{Class: transport.Retry, After: 40 * time.Second}},
				effects(pump.Done{}, wait(41*time.Second)),
			},
		),
		"Retry-After is bounded": begun(
			step{
				0, pump.Sent{Result: transport.Result{Class: transport.Retry, After: 1000 * time.Hour}},
				effects(pump.Done{}, wait(time.Hour+time.Second)),
			},
		),
		"an origin that works again is tried at once": begun(
			step{0, answer(transport.Misconfigured), effects(pump.Done{}, wait(225*time.Second))},
			step{time.Second, pump.Awake{}, effects(pump.Ready{})},
		),
		"an endpoint that asked for time gets it whatever its origin does": begun(
			step{
				0, pump.Sent{Result: transport.Result{Class: transport.Misconfigured, After: 40 * time.Second}},
				effects(pump.Done{}, wait(225*time.Second)),
			},
			step{time.Second, pump.Awake{}, effects(wait(41 * time.Second))},
		),
		"what a person must mend is left alone for minutes": begun(
			step{0, answer(transport.Misconfigured), effects(pump.Done{}, wait(225*time.Second))},
		),
		"a replaced endpoint is tried at once": begun(
			step{0, answer(transport.Gone), effects(pump.Absent{}, missing(""), pump.Done{}, wait(time.Second))},
			step{0, pump.Renewed{Confirmed: true}, effects(pump.Ready{})},
		),
		"an answer of the endpoint before counts for nothing but what it accepts": begun(
			step{0, pump.Renewed{Confirmed: true}, nil},
			step{0, answer(transport.Gone), effects(pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			step{0, fetched(11, 14, 11, 12, 13, 14), effects(batch(1, 11, 12, 11, 12))},
			step{0, pump.Renewed{Confirmed: true}, nil},
			step{0, answer(transport.OK), effects(commit(12), pump.Done{}, wait(time.Second))},
		),
		"mail that left the folder is passed over": {
			asked[0], asked[1],
			{0, fetched(11, 12), effects(pump.Commit{Cursor: mailbox.Cursor{UIDValidity: uv, UID: 12}, Vanished: 2}, pump.Done{})},
			{0, head(14), effects(pump.Ready{})},
		},
		"an answer to somebody else's fetch is not ours": {
			asked[0], asked[1],
			{0, pump.Fetched{Head: head(13), From: 5, Upto: 8, Mails: mails(5)}, effects(pump.Fetch{From: 11})},
			{0, pump.Fetched{Head: head(13), From: 5, Upto: 12, Mails: mails(9, 11)}, effects(batch(1, 11, 12, 11))},
		},
		"a page speaks for nothing beyond the end of the folder": {
			asked[0], asked[1],
			{0, pump.Fetched{Head: head(13), From: 11, Upto: 99, Mails: mails(11, 12)}, effects(batch(1, 11, 12, 11, 12))},
		},
		"an answer that covers nothing does not spin": {
			asked[0], asked[1],
			{0, pump.Fetched{Head: head(13), From: 11, Upto: 10}, effects(pump.Done{}, wait(time.Second))},
		},
		"a mailbox that cannot be read is tried when it shows itself": {
			asked[0], asked[1],
			{0, pump.Fetched{Failed: true}, effects(pump.Done{}, wait(time.Second))},
			{0, head(13), effects(pump.Ready{})},
		},
		"a fetch without an answer is given up": {
			asked[0], asked[1],
			{patience, pump.Tick{}, effects(pump.Done{}, wait(patience+time.Second))},
			{patience, fetched(11, 12, 11), nil},
		},
		"a folder whose end went back to the cursor has nothing to send": {
			asked[0],
			{0, head(11), nil},
			{0, pump.Turn{}, effects(pump.Done{})},
		},
		"a renumbered folder is announced once, nothing old with it": {
			{0, renumbered, effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(1))},
			{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
			{time.Second, pump.Tick{}, effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(2))},
			{0, answer(transport.OK), effects(pump.Commit{
				Cursor: mailbox.Cursor{UIDValidity: uv + 1, UID: 30}, ResetFrom: mailbox.Cursor{UIDValidity: uv, UID: 10},
			}, pump.Done{})},
			{0, renumbered, nil},
		},
		"renumbered while a request is out": begun(
			step{0, renumbered, nil},
			step{0, answer(transport.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(1))},
		),
		"renumbered while a request is out that is refused for good": begun(
			step{0, renumbered, nil},
			step{0, answer(transport.PermanentItem), effects(pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(1))},
		),
		"a server that does not say where the folder ends is not believed": {
			{0, pump.Head{UIDValidity: uv}, nil},
			{0, pump.Head{UIDNext: 99}, nil},
		},
		"events out of place change nothing": {
			{0, pump.Turn{}, effects(pump.Done{})},
			{0, answer(transport.OK), nil},
			{0, pump.Pinged{}, nil},
			{0, pump.Awake{}, nil},
			{0, pump.Tick{}, nil},
			{0, fetched(11, 12, 11), nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, begin(mailv1.Mode_MODE_BATCH), steps)
		})
	}
}

func TestUnsetCursorBeginsAtTheEnd(t *testing.T) {
	t.Parallel()
	play(t, pump.New(policy(), mailbox.Cursor{}, pump.Options{Confirmed: true}), []step{
		{0, head(13), effects(commit(12))},
		{0, head(14), effects(pump.Ready{})},
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/pump"
)

const uv = 7

func epoch() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// half draws the middle of every wait: 500 ms after the first temporary failure.
func policy() *pump.Policy {
	return pump.NewPolicy(pump.Policy{Random: func() float64 { return 0.5 }})
}

func head(uidNext uint32) pump.Head {
	return pump.Head{UIDValidity: uv, UIDNext: uidNext, Unread: 3, Noticed: epoch()}
}

func mails(uids ...uint32) []pump.Mail {
	var out []pump.Mail
	for _, uid := range uids {
		out = append(out, pump.Mail{UID: uid, Subject: "s"})
	}
	return out
}

func fetched(from, upto uint32, uids ...uint32) pump.Fetched {
	return pump.Fetched{Head: head(upto + 1), From: from, Upto: upto, Mails: mails(uids...)}
}

func batch(attempt int, from, upto uint32, uids ...uint32) pump.Send {
	return pump.Send{Batch: pump.Batch{
		UIDValidity: uv, From: from, Upto: upto, Mails: mails(uids...), Count: len(uids),
		Unread: 3, Noticed: epoch(), Attempt: attempt,
	}}
}

func answer(class pump.Class) pump.Sent { return pump.Sent{Result: pump.Result{Class: class}} }

func commit(uid uint32) pump.Commit {
	return pump.Commit{Cursor: pump.Cursor{UIDValidity: uv, UID: uid}}
}

func wait(after time.Duration) pump.Wait { return pump.Wait{Until: epoch().Add(after)} }

// step is an event, when it comes, and what must follow.
type step struct {
	after time.Duration
	event pump.Event
	want  []pump.Effect
}

func TestPump(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Minute
	renumbered := pump.Head{UIDValidity: uv + 1, UIDNext: 31, Unread: 3, Noticed: epoch()}
	reset := func(attempt int) pump.Send {
		return pump.Send{Batch: pump.Batch{Kind: pump.Reset, UIDValidity: uv + 1, Upto: 30, Unread: 3, Noticed: epoch(), Attempt: attempt}}
	}
	// begun is the way to the first request for mails 11 and 12.
	begun := []step{
		{0, head(13), []pump.Effect{pump.Ready{}}},
		{0, pump.Turn{}, []pump.Effect{pump.Fetch{From: 11}, wait(patience)}},
		{0, fetched(11, 12, 11, 12), []pump.Effect{batch(1, 11, 12, 11, 12)}},
	}
	for name, steps := range map[string][]step{
		"nothing new, nothing done": {{0, head(11), nil}},
		"new mail is sent and the cursor committed after": append(begun[:3:3],
			step{0, answer(pump.OK), []pump.Effect{commit(12), pump.Done{}}},
		),
		"mail that comes meanwhile waits for its own turn": append(begun[:3:3],
			step{0, head(15), nil},
			step{0, answer(pump.OK), []pump.Effect{commit(12), pump.Done{}, pump.Ready{}}},
			step{0, pump.Turn{}, []pump.Effect{pump.Fetch{From: 13}, wait(patience)}},
		),
		"a refused range is tried again as it was": append(begun[:3:3],
			step{0, answer(pump.Retry), []pump.Effect{pump.Done{}, wait(500 * time.Millisecond)}},
			step{0, head(15), nil},
			step{0, pump.Tick{}, nil},
			step{500 * time.Millisecond, pump.Tick{}, []pump.Effect{pump.Ready{}}},
			step{0, pump.Turn{}, []pump.Effect{pump.Fetch{From: 11}, wait(patience)}},
			step{0, fetched(11, 14, 12, 13, 14), []pump.Effect{batch(2, 11, 12, 12)}},
			step{0, answer(pump.OK), []pump.Effect{commit(12), pump.Done{}, pump.Ready{}}},
		),
		"Retry-After is honoured": append(begun[:3:3],
			step{
				0, pump.Sent{Result: pump.Result{Class: pump.Retry, After: 40 * time.Second}},
				[]pump.Effect{pump.Done{}, wait(40 * time.Second)},
			},
		),
		"Retry-After is bounded": append(begun[:3:3],
			step{
				0, pump.Sent{Result: pump.Result{Class: pump.Retry, After: 1000 * time.Hour}},
				[]pump.Effect{pump.Done{}, wait(time.Hour)},
			},
		),
		"what a person must mend is left alone for minutes": append(begun[:3:3],
			step{0, answer(pump.Misconfigured), []pump.Effect{pump.Done{}, wait(225 * time.Second)}},
		),
		"a replaced endpoint is tried at once": append(begun[:3:3],
			step{0, answer(pump.Gone), []pump.Effect{pump.Done{}, wait(225 * time.Second)}},
			step{0, pump.Renewed{}, []pump.Effect{pump.Ready{}}},
		),
		"mail that left the folder is passed over": {
			begun[0], begun[1],
			{0, fetched(11, 12), []pump.Effect{commit(12), pump.Done{}}},
		},
		"an answer to somebody else's fetch is not ours": {
			begun[0], begun[1],
			{0, pump.Fetched{Head: head(13), From: 5, Upto: 8, Mails: mails(5)}, []pump.Effect{pump.Fetch{From: 11}}},
			{0, pump.Fetched{Head: head(13), From: 5, Upto: 12, Mails: mails(9, 11)}, []pump.Effect{batch(1, 11, 12, 11)}},
		},
		"an answer that covers nothing does not spin": {
			begun[0], begun[1],
			{0, pump.Fetched{Head: head(13), From: 11, Upto: 10}, []pump.Effect{pump.Done{}, wait(500 * time.Millisecond)}},
		},
		"a mailbox that cannot be read is tried when it shows itself": {
			begun[0], begun[1],
			{0, pump.Fetched{Failed: true}, []pump.Effect{pump.Done{}, wait(500 * time.Millisecond)}},
			{0, head(13), []pump.Effect{pump.Ready{}}},
		},
		"a fetch without an answer is given up": {
			begun[0], begun[1],
			{patience, pump.Tick{}, []pump.Effect{pump.Done{}, wait(patience + 500*time.Millisecond)}},
			{patience, fetched(11, 12, 11), nil},
		},
		"a folder whose end went back has nothing to send": {
			begun[0],
			{0, head(11), nil},
			{0, pump.Turn{}, []pump.Effect{pump.Done{}}},
		},
		"a renumbered folder is announced once, nothing old with it": {
			{0, renumbered, []pump.Effect{pump.Ready{}}},
			{0, pump.Turn{}, []pump.Effect{reset(1)}},
			{0, answer(pump.Retry), []pump.Effect{pump.Done{}, wait(500 * time.Millisecond)}},
			{500 * time.Millisecond, pump.Tick{}, []pump.Effect{pump.Ready{}}},
			{0, pump.Turn{}, []pump.Effect{reset(2)}},
			{0, answer(pump.OK), []pump.Effect{pump.Commit{Cursor: pump.Cursor{UIDValidity: uv + 1, UID: 30}}, pump.Done{}}},
			{0, renumbered, nil},
		},
		"renumbered while a request is out": append(begun[:3:3],
			step{0, renumbered, nil},
			step{0, answer(pump.OK), []pump.Effect{commit(12), pump.Done{}, pump.Ready{}}},
			step{0, pump.Turn{}, []pump.Effect{reset(1)}},
		),
		"a server that does not say where the folder ends is not believed": {
			{0, pump.Head{UIDValidity: uv}, nil},
			{0, pump.Head{UIDNext: 99}, nil},
		},
		"events out of place change nothing": {
			{0, pump.Turn{}, []pump.Effect{pump.Done{}}},
			{0, answer(pump.OK), nil},
			{0, pump.Tick{}, nil},
			{0, fetched(11, 12, 11), nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pump.New(policy(), pump.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true})
			for i, step := range steps {
				got := p.Step(step.event, epoch().Add(step.after))
				if diff := cmp.Diff(step.want, got); diff != "" {
					t.Fatalf("step %d, %T: effects (-want +got):\n%s", i, step.event, diff)
				}
			}
		})
	}
}

func TestUnsetCursorBeginsAtTheEnd(t *testing.T) {
	t.Parallel()
	p := pump.New(policy(), pump.Cursor{}, pump.Options{Confirmed: true})
	if diff := cmp.Diff([]pump.Effect{commit(12)}, p.Step(head(13), epoch())); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]pump.Effect{pump.Ready{}}, p.Step(head(14), epoch())); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestBackOffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	full := pump.NewPolicy(pump.Policy{Random: func() float64 { return 1 }})
	for _, c := range []struct {
		class       pump.Class
		first, last time.Duration
	}{
		{pump.Retry, time.Second, 5 * time.Minute},
		{pump.Auth, 5 * time.Minute, time.Hour},
	} {
		p := pump.New(full, pump.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true})
		p.Step(head(12), epoch())
		now := epoch()
		var waits []time.Duration
		for range 12 {
			p.Step(pump.Turn{}, now)
			p.Step(fetched(11, 11, 11), now)
			effects := p.Step(answer(c.class), now)
			until := effects[len(effects)-1].(pump.Wait).Until //nolint:errcheck // a panic is a failure
			waits = append(waits, until.Sub(now))
			now = until
			p.Step(pump.Tick{}, now)
		}
		if waits[0] != c.first || waits[11] != c.last {
			t.Errorf("%v: waits %v, want %v up to %v", c.class, waits, c.first, c.last)
		}
	}
}

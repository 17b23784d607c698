// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// A server that hands out UIDs anew under the same UIDVALIDITY is broken, and exists.
func TestFolderWhoseEndWentBack(t *testing.T) {
	t.Parallel()
	reset := func(from, upto uint32) pump.Send {
		return pump.Send{Batch: transport.Batch{
			Reset: true, UIDValidity: uv, From: from, Upto: upto, Unread: 3, Noticed: epoch(), Attempt: 1,
		}}
	}
	rewound := func(from, upto uint32) pump.Commit {
		at := func(uid uint32) mailbox.Cursor { return mailbox.Cursor{UIDValidity: uv, UID: uid} }
		return pump.Commit{Cursor: at(upto), Rewind: true, ResetFrom: at(from)}
	}
	for name, steps := range map[string][]step{
		"is announced once, and goes on at its new end": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, answer(transport.OK), effects(rewound(10, 5), pump.Done{})},
			{0, head(6), nil},
			{time.Second, head(7), effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(pump.Fetch{From: 6}, wait(time.Second+patience))},
		},
		"while a request is out": begun(
			step{0, head(6), nil},
			step{0, answer(transport.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(12, 5))},
			step{0, answer(transport.OK), effects(rewound(12, 5), pump.Done{})},
		),
		"below what is out, but not below the cursor": begun(
			step{0, head(12), nil},
			step{0, answer(transport.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(12, 11))},
			step{0, answer(transport.OK), effects(rewound(12, 11), pump.Done{})},
		),
		"below what is out, and grew again": begun(
			step{0, head(12), nil},
			step{0, head(15), nil},
			step{0, answer(transport.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(12, 11))},
			step{0, answer(transport.OK), effects(rewound(12, 11), pump.Done{}, wait(time.Second))},
			step{time.Second, pump.Tick{}, effects(pump.Ready{})},
			step{time.Second, pump.Turn{}, effects(pump.Fetch{From: 12}, wait(time.Second+patience))},
		),
		"and grew before the reset was accepted": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, head(8), nil},
			{0, answer(transport.OK), effects(rewound(10, 5), pump.Done{}, wait(time.Second))},
		},
		"and came back before it was told": {
			{0, head(6), effects(pump.Ready{})},
			{0, head(13), nil},
			{0, pump.Turn{}, effects(reset(10, 10))},
			{0, answer(transport.OK), effects(rewound(10, 10), pump.Done{}, wait(time.Second))},
			{time.Second, pump.Tick{}, effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(time.Second+patience))},
		},
		"and came back while it was told": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, head(11), nil},
			{0, answer(transport.OK), effects(rewound(10, 10), pump.Done{})},
		},
		"and came back after it was told": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, answer(transport.OK), effects(rewound(10, 5), pump.Done{})},
			{time.Second, head(13), effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(reset(5, 10))},
			{time.Second, head(14), nil},
			{time.Second, answer(transport.OK), effects(rewound(5, 10), pump.Done{}, wait(3*time.Second))},
			{3 * time.Second, pump.Tick{}, effects(pump.Ready{})},
			{3 * time.Second, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(3*time.Second+patience))},
		},
		"to nothing, and came back": {
			{0, head(1), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 0))},
			{0, answer(transport.OK), effects(rewound(10, 0), pump.Done{})},
			{time.Second, head(11), effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(reset(1, 10))},
			{time.Second, answer(transport.OK), effects(rewound(0, 10), pump.Done{})},
			{time.Second, head(11), nil},
		},
		"and came back while a mail of since is out": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, answer(transport.OK), effects(rewound(10, 5), pump.Done{})},
			{time.Second, head(7), effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(pump.Fetch{From: 6}, wait(time.Second+patience))},
			{time.Second, fetched(6, 6, 6), effects(batch(1, 6, 6, 6))},
			{time.Second, head(13), nil},
			{time.Second, answer(transport.OK), effects(commit(6), pump.Done{}, pump.Ready{})},
			{time.Second, pump.Turn{}, effects(reset(6, 10))},
			{time.Second, answer(transport.OK), effects(rewound(6, 10), pump.Done{}, wait(3*time.Second))},
		},
		"and as many new mails came": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, answer(transport.OK), effects(rewound(10, 5), pump.Done{})},
			{time.Second, head(9), effects(pump.Ready{})},
			{time.Second, head(11), nil},
			{time.Second, head(13), nil},
			{time.Second, pump.Turn{}, effects(pump.Fetch{From: 6}, wait(time.Second+patience))},
			{time.Second, fetched(6, 12, 6, 7, 8, 9, 10, 11, 12), effects(batch(1, 6, 12, 6, 7, 8, 9, 10, 11, 12))},
		},
		"has a refused range forgotten": begun(
			step{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
			step{0, head(12), nil},
			step{time.Second, pump.Tick{}, effects(pump.Ready{})},
			step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			step{0, fetched(11, 11, 11), effects(batch(1, 11, 11, 11))},
		),
		"does not when it was seen before the cursor": {
			{0, pump.Head{UIDValidity: uv, UIDNext: 6, Stale: true}, nil},
			{0, pump.Head{UIDValidity: uv - 1, UIDNext: 6, Stale: true}, nil},
			{0, head(12), effects(pump.Ready{})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, begin(mailv1.Mode_MODE_BATCH), steps)
		})
	}
}

// A folder that shows an old state for a while and then itself again, as with a replica
// that lags behind, announces every mail once.
func TestAFolderThatBlinksIsNoFlood(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, begin(rapid.SampledFrom([]mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH}).Draw(t, "mode")))
		well, announced := true, make(map[uint32]int)
		w.answer = func(batch transport.Batch) transport.Result {
			if !well {
				return transport.Result{Class: transport.Retry}
			}
			for _, mail := range batch.Mails {
				announced[mail.UID]++
			}
			return transport.Result{}
		}
		wait := func() { w.run(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond) }
		for range rapid.IntRange(1, 5).Draw(t, "blinks") {
			w.arrive(rapid.IntRange(0, 250).Draw(t, "mails"))
			wait()
			end := w.next
			well = rapid.Bool().Draw(t, "well")
			w.next = uint32(rapid.IntRange(1, int(end)).Draw(t, "old"))
			w.tell()
			wait()
			well = well || rapid.Bool().Draw(t, "well again")
			w.next = end
			w.tell()
			wait()
		}
		well = true
		w.run(time.Hour)
		for uid, times := range announced {
			if times > 1 {
				t.Fatalf("mail %d was announced %d times", uid, times)
			}
		}
		if w.cursor.UID != w.next-1 {
			t.Fatalf("the cursor is at %d, the folder ends at %d", w.cursor.UID, w.next-1)
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/pump"
)

// A server that hands out UIDs anew under the same UIDVALIDITY is broken, and exists.
func TestFolderWhoseEndWentBack(t *testing.T) {
	t.Parallel()
	reset := func(from, upto uint32) pump.Send {
		return pump.Send{Batch: pump.Batch{
			Kind: pump.Reset, UIDValidity: uv, From: from, Upto: upto, Unread: 3, Noticed: epoch(), Attempt: 1,
		}}
	}
	rewound := func(uid uint32) pump.Commit {
		return pump.Commit{Cursor: pump.Cursor{UIDValidity: uv, UID: uid}, Rewind: true}
	}
	for name, steps := range map[string][]step{
		"is announced once, and goes on at its new end": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, answer(pump.OK), effects(rewound(5), pump.Done{})},
			{0, head(6), nil},
			{time.Second, head(7), effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(pump.Fetch{From: 6}, wait(time.Second+patience))},
		},
		"while a request is out": begun(
			step{0, head(6), nil},
			step{0, answer(pump.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(12, 5))},
			step{0, answer(pump.OK), effects(rewound(5), pump.Done{})},
		),
		"below what is out, but not below the cursor": begun(
			step{0, head(12), nil},
			step{0, answer(pump.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(12, 11))},
			step{0, answer(pump.OK), effects(rewound(11), pump.Done{})},
		),
		"below what is out, and grew again": begun(
			step{0, head(12), nil},
			step{0, head(15), nil},
			step{0, answer(pump.OK), effects(commit(12), pump.Done{}, pump.Ready{})},
			step{0, pump.Turn{}, effects(reset(12, 11))},
			step{0, answer(pump.OK), effects(rewound(11), pump.Done{}, wait(time.Second))},
			step{time.Second, pump.Tick{}, effects(pump.Ready{})},
			step{time.Second, pump.Turn{}, effects(pump.Fetch{From: 12}, wait(time.Second+patience))},
		),
		"and grew before the reset was accepted": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, head(8), nil},
			{0, answer(pump.OK), effects(rewound(5), pump.Done{}, wait(time.Second))},
		},
		"and came back before it was told": {
			{0, head(6), effects(pump.Ready{})},
			{0, head(13), nil},
			{0, pump.Turn{}, effects(reset(10, 10))},
			{0, answer(pump.OK), effects(rewound(10), pump.Done{}, wait(time.Second))},
			{time.Second, pump.Tick{}, effects(pump.Ready{})},
			{time.Second, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(time.Second+patience))},
		},
		"and came back while it was told": {
			{0, head(6), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(reset(10, 5))},
			{0, head(11), nil},
			{0, answer(pump.OK), effects(rewound(10), pump.Done{})},
		},
		"has a refused range forgotten": begun(
			step{0, answer(pump.Retry), effects(pump.Done{}, wait(time.Second))},
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
			play(t, begin(pump.ModeBatch), steps)
		})
	}
}

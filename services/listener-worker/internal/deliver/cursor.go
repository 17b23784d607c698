// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"slices"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Served is how far one subscription has been served in one folder, and what was stepped
// over on the way.
type Served struct {
	Subscription string
	Folder       string
	mailbox.Cursor

	Replay      uint64         // the one it belongs to
	Rewind      bool           // it may go back under its UIDVALIDITY
	ResetFrom   mailbox.Cursor // where it was before a reset has moved it; zero when none has
	DeadLetters []DeadLetter
}

// DeadLetter is a range of mails that an endpoint would not take.
type DeadLetter struct {
	pump.Skip

	At time.Time
}

// row is where a cursor is stored.
type row struct {
	claim                hold.Claim
	subscription, folder string
}

// entry is what is to be stored in a row.
type entry struct {
	cursor    mailbox.Cursor
	replay    uint64
	rewind    bool
	resetFrom mailbox.Cursor
	letters   []DeadLetter
}

// over is what is to be stored when e follows before, which was not stored. A rewind
// stays one, as the stored cursor may still be the higher one; of several resets the
// first knows where the stored cursor is.
func (e entry) over(before entry) entry {
	if e.replay != before.replay {
		return e
	}
	e.rewind = e.rewind || before.rewind
	if before.resetFrom != (mailbox.Cursor{}) {
		e.resetFrom = before.resetFrom
	}
	e.letters = append(slices.Clip(before.letters), e.letters...)
	return e
}

type rows map[row]entry

// byClaim is what the registry is told.
func (r rows) byClaim() map[hold.Claim][]Served {
	out := make(map[hold.Claim][]Served)
	for at, e := range r {
		out[at.claim] = append(out[at.claim], Served{
			Subscription: at.subscription, Folder: at.folder, Cursor: e.cursor,
			Replay: e.replay, Rewind: e.rewind, ResetFrom: e.resetFrom, DeadLetters: e.letters,
		})
	}
	return out
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Explanation is what a pump tells beside its [Status], to whoever wants to know why there
// is no push.
type Explanation struct {
	// Result is what the endpoint's last answer means; OK when it has failed at nothing since
	// it accepted something.
	Result transport.Class
	// Unmade is true when requests cannot be made: the endpoint is not to blame.
	Unmade bool
	// Unreadable is true when the mailbox could not be read.
	Unreadable bool
	// FolderEnd is the folder's last UID.
	FolderEnd uint32
	// LastPush is when something was accepted last; zero when nothing was.
	LastPush time.Time
	// Unannounced is what there is no push for; zero when a push was accepted since.
	Unannounced Unannounced
}

// Unannounced is mail that there will be no push for.
type Unannounced struct {
	// At is when that was found.
	At time.Time
	// Reason is why.
	Reason UnannouncedReason
	// First and Last are the UIDs that it is about, both included.
	First, Last uint32
}

// UnannouncedReason is why there is no push for a mail.
type UnannouncedReason uint8

// The reasons.
const (
	// MailGone means that it was gone before it was read for its push.
	MailGone UnannouncedReason = iota + 1
	// CursorAhead means that the folder's end went back below the cursor: what comes between
	// the two seems to have been announced before.
	CursorAhead
)

// Explain tells what stands in the way at a time.
func (p *Pump) Explain(now time.Time) Explanation {
	out := Explanation{
		Unmade: p.hindered != nil, Unreadable: p.misses > 0, FolderEnd: p.head, LastPush: p.pushed.Time(now),
	}
	if p.health != nil {
		out.Result = p.health.class
	}
	if p.unannounced != nil {
		out.Unannounced = *p.unannounced
	}
	if ahead, owed := p.aheadOfFolder(); owed {
		if out.Unannounced = ahead; p.noticed != nil {
			out.Unannounced.At = p.noticed.oldest
		}
	}
	return out
}

// told takes in what came of a push. What was accepted is the news from then on, but for a
// reset, which tells that something was not announced.
func (p *Pump) told(result transport.Result, now time.Time) {
	if result.Class != transport.OK {
		return
	}
	p.pushed = moment.Of(now)
	if !p.sending.reset {
		p.unannounced = nil
	}
}

// aheadOfFolder tells whether a reset is owed because the cursor is ahead of the folder's
// end, and of which UIDs nothing is announced for that.
func (p *Pump) aheadOfFolder() (Unannounced, bool) {
	owed := p.reset && p.target.UIDValidity == p.cursor.UIDValidity && p.target.UID < p.cursor.UID
	return Unannounced{Reason: CursorAhead, First: p.target.UID + 1, Last: p.cursor.UID}, owed
}

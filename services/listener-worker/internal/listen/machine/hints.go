// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// hintLate is how late a hint may be of a mail that a look has found by chance before it:
// the mail store writes the mail first, then tells of it.
const hintLate = 5 * time.Second

// hints is what a listener that waits for hints knows of them; nil: it does not wait so.
type hints struct {
	again time.Duration // how soon to look again; zero: as usual
	since int64         // since when it waits, while a look interrupts that; UNIX time in nanoseconds
	last  int64         // when one came last, the same way
	own   bool          // the look under way is our idea

	unheardFrom uint32        // the first mail found that way, of which no hint has told
	unheardAt   moment.Moment // when; zero for none
}

// hinting is what is known of hints, for more to be added.
func (m *Machine) hinting() *hints {
	if m.hints == nil {
		m.hints = new(hints)
	}
	return m.hints
}

// hintsAfter takes in what an opening says of them.
func (m *Machine) hintsAfter(e Opened, now time.Time) {
	if e.Waits != ByHints {
		m.hints = nil
		return
	}
	h := m.hinting()
	h.found(m.end, e.End, now)
	h.again, h.own = e.Again, false
}

// failed takes in that a look has failed, or the wait has.
func (h *hints) failed() {
	if h != nil {
		h.since, h.own = 0, false
	}
}

// resume is since when a listener waits that has begun to, or does so again after a look.
func (h *hints) resume(began int64) int64 {
	if h == nil || h.since == 0 {
		return began
	}
	began, h.since = h.since, 0
	return began
}

// reconcile looks without a hint.
func (m *Machine) reconcile(now time.Time) {
	if m.state != mailv1.ListenerState_LISTENER_STATE_WAITING {
		return // it is looking, or will when it is back
	}
	m.open(now)
	m.hinting().own = true
}

// found takes in that a look may show more mails than were known.
func (h *hints) found(before, now mailbox.End, at time.Time) {
	known := before.UIDNext != 0 && before.UIDValidity == now.UIDValidity
	if h.own && known && now.UIDNext > before.UIDNext && h.unheardAt.IsZero() {
		h.unheardFrom, h.unheardAt = before.UIDNext, moment.Of(at)
	}
}

// heard takes in a hint: one of a mail that was found clears it, and one that names none
// may be of it.
func (h *hints) heard(hint mailbox.Hint) {
	h.last = unixNano(hint.At)
	if hint.UID == 0 || hint.UID >= h.unheardFrom {
		h.unheardAt = 0
	}
}

// missed tells of mail that a look has found when no hint has come for long enough.
func (m *Machine) missed(now time.Time) {
	h := m.hints
	if h != nil && !m.stopped && !h.unheardAt.IsZero() && moment.Of(now).Sub(h.unheardAt) >= hintLate {
		h.unheardAt = 0
		m.do(ReportMissed{})
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// fetch takes a wish for mails: answered at once without a connection, kept
// while one is being opened, joined with an earlier wish.
func (m *Machine) fetch(wish FetchWanted, now time.Time) {
	waiting := m.state == mailv1.ListenerState_LISTENER_STATE_WAITING
	if !m.connected() && !waiting {
		m.do(ReportFetched{End: m.end, From: wish.From, Err: m.notConnected()})
		return
	}
	if m.fetchWanted {
		wish.From, wish.Detail = min(wish.From, m.fetchFrom), wish.Detail.With(m.fetchDetail)
	}
	m.fetchWanted, m.fetchFrom, m.fetchDetail = true, wish.From, wish.Detail
	if waiting {
		m.openAt(m.end, now)
		return
	}
	m.next(now)
}

func (m *Machine) notConnected() *mailbox.Failure {
	reason := "the mailbox is not open"
	if m.state == mailv1.ListenerState_LISTENER_STATE_SUSPENDED {
		reason = "the listener is suspended"
	}
	if m.lastError != "" {
		reason += ": " + m.lastError
	}
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: reason}
}

// startFetch reads up to the known end of the folder. An explicit end is needed:
// n:* returns the last mail even when it is below n (RFC 9051 section 6.4.9).
func (m *Machine) startFetch(now time.Time) {
	from, detail := max(m.fetchFrom, 1), m.fetchDetail
	m.fetchWanted = false
	if m.unread.holds(from, detail, now) {
		m.do(ReportFetched{End: m.end, From: from, Err: m.unread.failure()})
		m.next(now)
		return
	}
	if m.end.UIDNext <= from {
		m.do(ReportFetched{End: m.end, From: from, Upto: max(m.end.UIDNext, 1) - 1})
		m.next(now)
		return
	}
	m.op = opFetch
	m.lingers = false
	m.fetchingNow = from
	m.wake = 0
	m.do(m.unread.fetch(Fetch{Conn: m.conn, From: from, Upto: m.end.UIDNext - 1, Detail: detail}, now))
}

func (m *Machine) fetched(e Fetched, now time.Time) {
	m.op = opNone
	m.idling = false
	if m.unread != nil || e.Gap != mailbox.NoGap {
		m.trouble().take(e, m.end.UIDNext, m.settings.Retry, now)
	}
	m.lingers = e.Gap == mailbox.NoGap && uint64(e.Upto)+1 < uint64(m.end.UIDNext) // a long catch-up comes in several fetches
	if e.Gap != mailbox.NoGap && e.Upto < e.From {
		m.do(ReportFetched{End: m.end, From: e.From, Err: m.unread.failure()})
	} else {
		m.do(ReportFetched{End: m.end, From: e.From, Upto: e.Upto, Detail: e.Detail, Mails: e.Mails})
	}
	m.next(now)
}

// refuseFetch answers what was wanted of a connection that is gone: once, from
// the lowest UID.
func (m *Machine) refuseFetch(fetching bool, failure *mailbox.Failure) {
	from := m.fetchFrom
	switch {
	case !fetching && !m.fetchWanted:
		return
	case fetching && m.fetchWanted:
		from = min(from, m.fetchingNow)
	case fetching:
		from = m.fetchingNow
	}
	m.fetchWanted = false
	m.do(ReportFetched{End: m.end, From: from, Err: failure})
}

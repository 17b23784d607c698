// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// operation is what is in flight on the connection.
type operation uint8

const (
	opNone operation = iota
	opOpen
	opIdle
	opCheck
	opFetch
)

// Machine is one listener. It is not safe for concurrent use, and holds no
// resource: dropping it is enough once it was stopped. There is one for every mailbox, and
// most of them wait: it is kept small.
type Machine struct {
	settings *Settings
	effects  *[]Effect // of the step that is being taken; nil between steps

	state       mailv1.ListenerState
	op          operation    // in flight on the connection
	waits       Waits        // as the opening said, until IDLE is refused
	look        mailbox.Look // how to: more than Ask when it is our idea, not the mail store's
	idling      bool         // IDLE stands
	settling    bool         // the last look found something new: look again soon
	lingers     bool         // waiting a moment for a fetch before IDLE
	changed     bool         // the mail store spoke of a change that was not looked at
	fetchWanted bool
	stopped     bool
	fetchDetail mailbox.Detail // the most that is wanted

	failure mailbox.Class // of what failed last; zero when it is open
	blame   mailbox.Blame // whose fault that was

	fetchFrom   uint32 // lowest UID wanted
	fetchingNow uint32 // first UID of the fetch in flight

	failures int32 // since a connection last proved stable
	refusals int32 // unexplained ones of the login, in a row
	unsure   int32 // looks in a row that found more mails than there is room for

	conn      uint64        // number of the connection, grown when one is given up
	openedAt  moment.Moment // when it was opened; zero while there is none
	folderAt  moment.Moment // when the folder was opened on it, or opened again
	noticedAt moment.Moment // when the mail store spoke
	headAt    moment.Moment // when the newest mails before the end were noticed
	provenAt  moment.Moment // when the mail store last told where the folder ends
	wake      moment.Moment // when to go on by itself
	alarm     moment.Moment // what the timer is set to

	end    mailbox.End
	unread *unread // about mails that could not be read; nil when all could
	hints  *hints  // of a listener that waits for them; nil of others

	// What Status shows of it.
	since, lastEvent int64 // UNIX time in nanoseconds; zero: never
	lastError        string
	credential       uint64
}

// Status is what a listener is doing, for people.
type Status struct {
	// State is what it is doing, Since when it began to.
	State mailv1.ListenerState
	Since time.Time
	// LastEvent is when it last noticed new mail; zero when it never did.
	LastEvent time.Time
	// LastHint is when it was last told that the folder may have changed, LastProof when
	// the mail store last told it where the folder ends; zero when that never was.
	LastHint, LastProof time.Time
	// LastError is why it is not well; empty when it is.
	LastError string
	// CredentialVersion is the newest credential version it knows.
	CredentialVersion uint64
	// Failure is how it has failed last, and Blame whose fault that was; zero while it is
	// open, or has not failed.
	Failure mailbox.Class
	Blame   mailbox.Blame
}

// New makes a listener that waits for Start. Settings are those of [NewSettings]; many
// listeners share them.
func New(settings *Settings, credentialVersion uint64) Machine {
	return Machine{settings: settings, credential: credentialVersion}
}

// Status returns what the listener is doing, as seen from now.
func (m *Machine) Status(now time.Time) Status {
	status := Status{
		State: m.state, Since: wallTime(m.since), LastEvent: wallTime(m.lastEvent), LastProof: m.provenAt.Time(now),
		LastError: m.lastError, CredentialVersion: m.credential, Failure: m.failure, Blame: m.blame,
	}
	if m.hints != nil {
		status.LastHint = wallTime(m.hints.last)
	}
	return status
}

// State returns what the listener is doing in one word.
func (m *Machine) State() mailv1.ListenerState { return m.state }

// LastError returns why the listener is not well; empty when it is.
func (m *Machine) LastError() string { return m.lastError }

// ProvenAt returns when the mail store last told where the folder ends; zero when it never
// did.
func (m *Machine) ProvenAt() moment.Moment { return m.provenAt }

// wallTime is a time of the wall clock, for people; the zero time for zero.
func wallTime(unixNano int64) time.Time {
	if unixNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, unixNano)
}

// unixNano is the inverse of wallTime.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Step takes one event that happened at now and returns what to do, in order.
func (m *Machine) Step(ev Event, now time.Time) []Effect {
	if conn := connOf(ev); m.stopped || conn != 0 && conn != m.conn {
		return nil
	}
	var effects []Effect
	m.effects = &effects
	m.handle(ev, now)
	if m.unread != nil && *m.unread == (unread{}) {
		m.unread = nil
	}
	m.missed(now)
	if at := m.due(); at != m.alarm {
		m.alarm = at
		m.do(SetTimer{At: at.Time(now)})
	}
	m.effects = nil
	return effects
}

// due is when the timer has to go off next; zero for never.
func (m *Machine) due() moment.Moment {
	if m.retells() && (m.wake.IsZero() || m.unread.until < m.wake) {
		return m.unread.until
	}
	return m.wake
}

// retells tells whether a mail that is held is to be asked for at its time: not while
// something else will show the folder's end first.
func (m *Machine) retells() bool {
	waiting := m.state == mailv1.ListenerState_LISTENER_STATE_WAITING
	return m.unread != nil && !m.unread.until.IsZero() && (waiting || !m.openedAt.IsZero())
}

func (m *Machine) handle(ev Event, now time.Time) {
	switch e := ev.(type) {
	case Start:
		if m.state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED {
			m.open(now)
		}
	case Opened:
		m.opened(e, now)
	case Idling:
		m.idlingNow(now)
	case IdleRefused:
		m.idleRefused(e, now)
	case Checked:
		m.checked(e, now)
	case Fetched:
		m.fetched(e, now)
	case Failed:
		m.failed(e, now)
	case Noticed:
		m.noticed(e.At, now)
	case Hinted:
		m.hinted(e.Hint, now)
	case Reconcile:
		m.reconcile(now)
	case FetchWanted:
		m.fetch(e, now)
	case Retry:
		m.retry(e, now)
	case Timer:
		m.timer(now)
	case Renewed:
		m.renewed(e.Version, now)
	case Moved:
		m.moved(e.Settings, now)
	case Stop:
		m.dropConnection()
		m.stopped = true
	}
}

// next starts what is due on an open connection with nothing in flight.
func (m *Machine) next(now time.Time) {
	switch {
	case m.op != opNone || m.openedAt.IsZero():
	case m.changed:
		m.check(now)
	case m.fetchWanted:
		m.startFetch(now)
	case m.lingers:
		m.wake = moment.Of(now.Add(m.settings.Linger))
	case m.waits == ByHints:
		m.await(now)
	case m.waits == ByPolling:
		m.enter(mailv1.ListenerState_LISTENER_STATE_POLLING, now)
		m.wake = moment.Of(now.Add(m.poll()))
	case !m.idling:
		m.op = opIdle
		m.wake = 0
		m.do(Idle{Conn: m.conn})
	}
}

func (m *Machine) timer(now time.Time) {
	if m.retells() && moment.Of(now) >= m.unread.until {
		m.unread.until = 0
		m.do(ReportHead{End: m.end, Noticed: firstTime(m.headAt.Time(now), now)}) // who wants the mail asks again
	}
	if m.wake.IsZero() || moment.Of(now) < m.wake {
		return
	}
	m.wake = 0
	switch {
	case m.state == mailv1.ListenerState_LISTENER_STATE_WAITING:
		m.reconcile(now) // no hint came for long
	case !m.connected(): // a back-off is over
		m.open(now)
	case m.lingers:
		m.lingers = false
		m.next(now)
	default:
		m.changed, m.look = true, m.ownLook(now)
		m.next(now)
	}
}

func (m *Machine) do(e Effect) { *m.effects = append(*m.effects, e) }

func (m *Machine) enter(state mailv1.ListenerState, now time.Time) {
	if m.state != state {
		m.state, m.since = state, now.UnixNano()
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// operation is what is in flight on the connection.
type operation int

const (
	opNone operation = iota
	opOpen
	opIdle
	opCheck
	opFetch
)

// Machine is one listener. It is not safe for concurrent use, and holds no
// resource: dropping it is enough once it was stopped.
type Machine struct {
	settings Settings
	status   Status
	effects  []Effect

	conn     uint64    // number of the connection, grown when one is given up
	op       operation // in flight on it
	openedAt time.Time // when it was opened; zero while there is none
	folderAt time.Time // when the folder was opened on it, or opened again
	waits    Waits     // as the opening said, until IDLE is refused
	idling   bool      // IDLE stands
	settling bool      // the last look found something new: look again soon
	lingers  bool      // waiting a moment for a fetch before IDLE

	end       mailbox.End
	headAt    time.Time    // when its newest mails were noticed
	changed   bool         // the mail store spoke of a change that was not looked at
	look      mailbox.Look // how to: more than Ask when it is our idea, not the mail store's
	noticedAt time.Time    // when it spoke

	fetchWanted bool
	fetchFrom   uint32 // lowest UID wanted
	fetchingNow uint32 // first UID of the fetch in flight

	unread unread // about mails that could not be read
	unsure int    // looks in a row that found more mails than there is room for

	wake     time.Time
	alarm    time.Time // what the timer is set to
	failures int       // since a connection last proved stable
	refusals int       // unexplained ones of the login, in a row
	stopped  bool
}

// Status is what a listener is doing, for people.
type Status struct {
	// State is what it is doing, Since when it began to.
	State mailv1.ListenerState
	Since time.Time
	// LastEvent is when it last noticed new mail; zero when it never did.
	LastEvent time.Time
	// LastError is why it is not well; empty when it is.
	LastError string
	// CredentialVersion is the newest credential version it knows.
	CredentialVersion uint64
}

// NewMachine makes a listener that waits for Start.
func NewMachine(settings Settings, credentialVersion uint64) *Machine {
	return &Machine{
		settings: settings.withDefaults(),
		status:   Status{CredentialVersion: credentialVersion},
	}
}

// Status returns what the listener is doing.
func (m *Machine) Status() Status { return m.status }

// Step takes one event that happened at now and returns what to do, in order.
// The slice is valid until the next Step.
func (m *Machine) Step(ev Event, now time.Time) []Effect {
	m.effects = m.effects[:0]
	if conn := connOf(ev); m.stopped || conn != 0 && conn != m.conn {
		return nil
	}
	m.handle(ev, now)
	if at := m.due(); !at.Equal(m.alarm) {
		m.alarm = at
		m.do(SetTimer{At: at})
	}
	return m.effects
}

// due is when the timer has to go off next; zero for never.
func (m *Machine) due() time.Time {
	if until := m.unread.until; m.retells() && (m.wake.IsZero() || until.Before(m.wake)) {
		return until
	}
	return m.wake
}

// retells tells whether a mail that is held is to be asked for at its time: not while
// something else will show the folder's end first.
func (m *Machine) retells() bool {
	waiting := m.status.State == mailv1.ListenerState_LISTENER_STATE_WAITING
	return !m.unread.until.IsZero() && (waiting || !m.openedAt.IsZero())
}

func (m *Machine) handle(ev Event, now time.Time) {
	switch e := ev.(type) {
	case Start:
		if m.status.State == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED {
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
	case FetchWanted:
		m.fetch(e.From, now)
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
		m.wake = now.Add(m.settings.Linger)
	case m.waits == ByHints:
		m.await(now)
	case m.waits == ByPolling:
		m.enter(mailv1.ListenerState_LISTENER_STATE_POLLING, now)
		m.wake = now.Add(m.poll())
	case !m.idling:
		m.op = opIdle
		m.wake = time.Time{}
		m.do(Idle{Conn: m.conn})
	}
}

func (m *Machine) timer(now time.Time) {
	if m.retells() && !now.Before(m.unread.until) {
		m.unread.until = time.Time{}
		m.do(ReportHead{End: m.end, Noticed: firstTime(m.headAt, now)}) // who wants the mail asks again
	}
	if m.wake.IsZero() || now.Before(m.wake) {
		return
	}
	m.wake = time.Time{}
	switch {
	case !m.connected(): // a back-off is over, or no hint came for long
		m.open(now)
	case m.lingers:
		m.lingers = false
		m.next(now)
	default:
		m.changed, m.look = true, m.ownLook(now)
		m.next(now)
	}
}

func (m *Machine) do(e Effect) { m.effects = append(m.effects, e) }

func (m *Machine) enter(state mailv1.ListenerState, now time.Time) {
	if m.status.State != state {
		m.status.State, m.status.Since = state, now
	}
}

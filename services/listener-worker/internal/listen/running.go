// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/listener-worker/internal/listen/machine"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

var errNoListener = fault.New(fault.NotFound, "the worker has no listener for this user")

// running is one listener and what it holds. All of it belongs to the loop.
type running struct {
	mailbox mailbox.Listening
	machine *machine.Machine

	conn   uint64             // the machine's number of the connection, 0 for none
	cancel context.CancelFunc // ends its opening
	link   Reader             // nil until it is open

	refused  bool      // the master user was, when the mailbox was last to be opened
	unserved time.Time // since when it is neither open nor was tried

	loop.Timer // the machine's
}

func (r *running) status() Status {
	return Status{
		User: r.mailbox.User, Permanent: r.mailbox.Permanent, Backend: r.mailbox.Store.GetBackend(),
		Status: r.machine.Status(),
	}
}

// storeKey is what operations on the mailbox share a limit with.
func (r *running) storeKey() string {
	return r.mailbox.Store.GetName() + "\x00" + r.mailbox.Store.GetAddress()
}

func (l *Loop) put(m mailbox.Listening) {
	if l.stopped {
		return
	}
	r := l.listed[m.User]
	if r == nil {
		r = &running{mailbox: m, unserved: time.Now()}
		r.machine = machine.NewMachine(l.settings(m.Store), m.CredentialVersion)
		l.mu.Lock()
		l.listed[m.User] = r
		l.mu.Unlock()
		l.step(r, machine.Start{})
		return
	}
	moved := !sameStore(r.mailbox.Store, m.Store)
	if m.CredentialVersion > r.mailbox.CredentialVersion {
		r.refused = false // the new login may need no master user
	}
	l.mu.Lock()
	r.mailbox = m
	l.mu.Unlock()
	if moved {
		l.step(r, machine.Moved{Settings: l.settings(m.Store)})
	}
	l.step(r, machine.Renewed{Version: m.CredentialVersion})
}

// sameStore tells whether what is open at one mail store can stay so at the other: a
// new pace is for what is opened from then on.
func sameStore(a, b *mailv1.MailStore) bool {
	if proto.Equal(a, b) {
		return true
	}
	b = proto.CloneOf(b)
	b.ConnectsPerSecond, b.ConnectsAtOnce = a.GetConnectsPerSecond(), a.GetConnectsAtOnce()
	return proto.Equal(a, b)
}

// settings are a listener's times at a mail store.
func (l *Loop) settings(store *mailv1.MailStore) machine.Settings {
	s := l.cfg.Tuning
	if d := store.GetIdleRefresh().AsDuration(); d > 0 {
		s.IdleRefresh = d
	}
	if d := store.GetPollInterval().AsDuration(); d > 0 {
		s.PollInterval = d
	}
	return s
}

func (l *Loop) remove(r *running) {
	l.step(r, machine.Stop{})
	l.timers.Set(r, time.Time{})
	l.metrics.entered(r.machine.Status().State, 0)
	l.mu.Lock()
	delete(l.listed, r.mailbox.User)
	l.mu.Unlock()
}

func (l *Loop) removeAll() {
	for _, r := range l.listed {
		l.remove(r)
	}
}

// step gives the machine an event and does what it says.
func (l *Loop) step(r *running, ev machine.Event) {
	l.mu.Lock()
	before := r.machine.Status()
	effects := r.machine.Step(ev, time.Now())
	after := r.machine.Status()
	l.mu.Unlock()
	l.metrics.entered(before.State, after.State)
	l.log(r, before, after)
	for _, effect := range effects {
		l.do(r, effect)
	}
}

// log tells of a listener that is unwell, once per reason, and of its recovery.
func (l *Loop) log(r *running, before, after machine.Status) {
	if before.LastError == after.LastError && before.State == after.State {
		return
	}
	level := slog.LevelDebug
	switch {
	case after.State == mailv1.ListenerState_LISTENER_STATE_SUSPENDED:
		level = slog.LevelWarn
	case before.LastError != after.LastError:
		level = slog.LevelInfo
	}
	l.cfg.Log.Log(l.ctx, level, "listener changed",
		"context_id", r.mailbox.User.Context, "user_id", r.mailbox.User.ID,
		"mail_store", r.mailbox.Store.GetName(), "state", stateLabel(after.State), "reason", after.LastError)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/listen/outage"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

var errNoListener = fault.New(fault.NotFound, "the worker has no listener for this user")

// running is one listener and what it holds. All of it belongs to the loop.
type running struct {
	mailbox mailbox.Listening
	machine machine.Machine

	conn   uint64             // the machine's number of the connection, 0 for none
	cancel context.CancelFunc // ends its opening; nil when it is not being opened
	link   Reader             // nil until it is open

	site         *site                    // the mail store's
	waiter       *outage.Waiter[*running] // it has failed, and was not served since; nil otherwise
	unserved     moment.Moment            // since when it is neither open nor was tried
	waits        *place                   // among those that wait for hints; nil while it does not
	registration mailv1.Registration
	hinted       bool // it lives by hints
	refused      bool // the master user was, when the mailbox was last to be opened
	let          bool // it may try although the mail store is down; for the time of a step

	loop.Timer // the machine's
}

func (r *running) status() Status {
	return Status{
		User: r.mailbox.User, Permanent: r.mailbox.Permanent, Backend: r.mailbox.Store.GetBackend(),
		Registration: r.registration, Status: r.machine.Status(time.Now()),
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
		r = &running{mailbox: m, unserved: moment.Of(time.Now())}
		l.join(r)
		r.machine = machine.New(l.settings(m.Store), m.CredentialVersion)
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
	before := r.mailbox
	l.mu.Lock()
	r.mailbox = m
	l.mu.Unlock()
	if moved {
		l.forget(before, movedAway(before, m))
		state := r.machine.State()
		l.metrics.entered(r.site.name, state, 0)
		l.part(r)
		l.join(r)
		l.metrics.entered(r.site.name, 0, state)
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
	b.ReconcilePerSecond = a.GetReconcilePerSecond()
	return proto.Equal(a, b)
}

// intervals are the times that a mail store may say for itself; zero: it does not.
type intervals struct{ idleRefresh, pollInterval time.Duration }

// settings are a listener's times at a mail store, which all listeners share that have
// the same.
func (l *Loop) settings(store *mailv1.MailStore) *machine.Settings {
	own := intervals{max(store.GetIdleRefresh().AsDuration(), 0), max(store.GetPollInterval().AsDuration(), 0)}
	if known := l.shared[own]; known != nil {
		return known
	}
	s := l.cfg.Tuning
	s.IdleRefresh = cmp.Or(own.idleRefresh, s.IdleRefresh)
	s.PollInterval = cmp.Or(own.pollInterval, s.PollInterval)
	s.Recheck = cmp.Or(s.Recheck, recheck)
	l.shared[own] = machine.NewSettings(s)
	return l.shared[own]
}

// remove stops a listener. unwanted tells that nobody wants it any more.
func (l *Loop) remove(r *running, unwanted bool) {
	l.step(r, machine.Stop{})
	l.part(r)
	l.reconciler.leave(r)
	l.reconciler.lives(r, false)
	l.forget(r.mailbox, unwanted)
	l.timers.Set(r, time.Time{})
	l.metrics.entered(r.site.name, r.machine.State(), 0)
	l.mu.Lock()
	delete(l.listed, r.mailbox.User)
	l.mu.Unlock()
}

func (l *Loop) removeAll() {
	for _, r := range l.listed {
		l.remove(r, false)
	}
}

// forget tells the source of a mailbox that nothing listens to it here any more.
func (l *Loop) forget(of mailbox.Listening, unwanted bool) {
	if keeper, keeps := l.cfg.Sources[of.Store.GetBackend()].(Keeper); keeps {
		keeper.Forget(of, l.loginOf(of), unwanted)
	}
}

// movedAway tells whether what is kept for a mailbox at one mail store is of no use at the
// other that it has now.
func movedAway(before, now mailbox.Listening) bool {
	return before.Store.GetName() != now.Store.GetName() || before.Store.GetBackend() != now.Store.GetBackend()
}

// step gives the machine an event and does what it says.
func (l *Loop) step(r *running, ev machine.Event) {
	l.mu.Lock()
	state, reason := r.machine.State(), r.machine.LastError()
	effects := r.machine.Step(ev, time.Now())
	l.mu.Unlock()
	l.metrics.entered(r.site.name, state, r.machine.State())
	l.reconciler.moved(r, state, r.machine.State())
	r.site.moved(r, state, r.machine.State())
	l.log(r, state, reason)
	for _, effect := range effects {
		l.do(r, effect)
	}
}

// log tells of a listener that is unwell, once per reason, and of its recovery. state and
// reason are what it had before.
func (l *Loop) log(r *running, state mailv1.ListenerState, reason string) {
	now, why := r.machine.State(), r.machine.LastError()
	if reason == why && state == now {
		return
	}
	level := slog.LevelDebug
	switch {
	case now == mailv1.ListenerState_LISTENER_STATE_SUSPENDED:
		level = slog.LevelWarn
	case reason != why:
		level = slog.LevelInfo
	}
	l.cfg.Log.Log(l.ctx, level, "listener changed",
		"context_id", r.mailbox.User.Context, "user_id", r.mailbox.User.ID,
		"mail_store", r.mailbox.Store.GetName(), "state", stateLabel(now), "reason", why)
}

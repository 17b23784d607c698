// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/listen/outage"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// noticeWithin is how late it is noticed that a mail store serves again, at most.
const noticeWithin = 10 * time.Second

// site is a mail store at one address, as its listeners find it. The methods of the loop
// that are about it are in retry.go.
type site struct {
	*outage.Store[*running]

	key       string
	name      string
	listeners int
	down      time.Time // since when nobody is served; zero while somebody is
}

func pausesOf(tuning machine.Settings) *outage.Pauses {
	least := cmp.Or(tuning.MinBackoff, time.Second)
	return &outage.Pauses{
		Min: min(least, noticeWithin), Most: min(max(cmp.Or(tuning.MaxBackoff, noticeWithin), least), noticeWithin),
		Jitter: tuning.Jitter,
	}
}

// join has a listener belong to the site of its mail store.
func (l *Loop) join(r *running) {
	key := r.storeKey()
	if l.sites[key] == nil {
		l.sites[key] = &site{Store: outage.New[*running](l.pauses), key: key, name: r.mailbox.Store.GetName()}
		l.metrics.knows(l.sites[key].name)
	}
	r.site = l.sites[key]
	r.site.listeners++
	if served(r.machine.State()) {
		r.site.Well(1)
	}
}

// part takes a listener out of its site.
func (l *Loop) part(r *running) {
	if served(r.machine.State()) {
		r.site.Well(-1)
	}
	r.leave()
	if r.site.listeners--; r.site.listeners == 0 {
		l.isUp(r.site)
		delete(l.sites, r.site.key)
	}
}

// leave has a listener not wait for its mail store any more.
func (r *running) leave() {
	if r.waiter != nil {
		r.site.Begins(r.waiter)
		r.waiter = nil
	}
}

// moved takes in what a listener has come to do.
func (s *site) moved(r *running, before, after mailv1.ListenerState) {
	if before == after {
		return
	}
	if was, is := served(before), served(after); was != is {
		if is {
			s.Well(1)
		} else {
			s.Well(-1)
		}
	}
	if before == mailv1.ListenerState_LISTENER_STATE_BACKOFF && r.waiter != nil {
		s.Begins(r.waiter)
	}
	if after == mailv1.ListenerState_LISTENER_STATE_SUSPENDED {
		r.leave()
	}
}

// served tells whether a listener in a state has what it needs from its mail store.
func served(state mailv1.ListenerState) bool {
	switch state {
	case mailv1.ListenerState_LISTENER_STATE_IDLE, mailv1.ListenerState_LISTENER_STATE_POLLING,
		mailv1.ListenerState_LISTENER_STATE_WAITING:
		return true
	default:
		return false
	}
}

// wait is the listener as one that has failed.
func (r *running) wait() *outage.Waiter[*running] {
	if r.waiter == nil {
		r.waiter = &outage.Waiter[*running]{Of: r}
	}
	r.waiter.Since = r.unserved
	return r.waiter
}

// failing takes in how an attempt to open a mailbox has failed that began at a time, or why
// what was open is of no use any more, and gives the listener word of it.
func (l *Loop) failing(r *running, failed machine.Failed, opening time.Time) {
	switch blame := failed.Failure.Whose(); {
	case blame == mailbox.BlameMailbox:
		r.leave()
	case !opening.IsZero():
		failed.Awaits = r.site.Failed(r.wait(), failed.Failure, opening, time.Now())
	case blame == mailbox.BlameStore:
		failed.Awaits = r.site.Failed(r.wait(), failed.Failure, time.Now(), time.Now())
	default:
		r.site.Lost(r.wait(), time.Now())
	}
	l.step(r, failed)
	if r.waiter != nil {
		r.waiter.Since = r.unserved
	}
	switch {
	case r.site.Down():
		l.isDown(r.site)
	case failed.Failure.Class == mailbox.ClassRefused: // in so many words: so it serves logins
		l.free(r.site, r.site.Served(nil, time.Now()))
	}
}

// isDown has nobody try any more but those who find out.
func (l *Loop) isDown(s *site) {
	if !s.down.IsZero() {
		return
	}
	s.down = time.Now()
	l.metrics.down.WithLabelValues(s.name).Inc()
	l.connects.withdraw(s.key)
	l.cfg.Log.WarnContext(l.ctx, "the mail store serves nobody, its listeners wait until it does",
		"mail_store", s.name, "reason", s.Said().Reason, "listeners", s.listeners)
}

// isUp takes in that a mail store is not known to be down any more.
func (l *Loop) isUp(s *site) {
	if !s.down.IsZero() {
		s.down = time.Time{}
		l.metrics.down.WithLabelValues(s.name).Dec()
	}
}

// served takes in that a listener was, and lets those go that wait for that.
func (l *Loop) served(r *running) {
	freed := r.site.Served(r.waiter, time.Now())
	r.leave()
	l.free(r.site, freed)
}

func (l *Loop) free(s *site, freed []*outage.Waiter[*running]) {
	if !s.down.IsZero() {
		l.cfg.Log.InfoContext(l.ctx, "the mail store serves again",
			"mail_store", s.name, "down_for", time.Since(s.down).Round(time.Second).String(), "let_go", len(freed))
	}
	l.isUp(s)
	for _, w := range freed {
		l.let(w.Of, bySuccess)
	}
}

// tend lets those go whose time has come, and returns when that is next.
func (l *Loop) tend(now time.Time) (next time.Time) {
	awaiting := 0
	for _, s := range l.sites {
		freed, probe := s.Due(now)
		for _, w := range freed {
			l.let(w.Of, bySuccess)
		}
		if probe != nil {
			l.let(probe.Of, byProbe)
		}
		awaiting += s.Awaiting()
		next = loop.Sooner(next, s.Next(now))
	}
	l.metrics.awaiting.Set(float64(awaiting))
	return next
}

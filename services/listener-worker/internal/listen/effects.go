// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// do carries out one effect. Blocking ones become tasks that come back with an
// event.
func (l *Loop) do(r *running, effect machine.Effect) {
	u := r.mailbox.User
	switch e := effect.(type) {
	case machine.Open:
		l.open(r, e.Conn, e.Known)
	case machine.Idle:
		l.operate(r, toIdle, func(c Reader) machine.Event { return idle(c, e) })
	case machine.Check:
		l.operate(r, toLook, func(c Reader) machine.Event { return check(c, e) })
	case machine.Fetch:
		l.operate(r, toRead, func(c Reader) machine.Event { return fetch(c, e) })
	case machine.Close:
		r.close()
	case machine.SetTimer:
		l.timers.Set(r, e.At)
	case machine.ReportHead:
		l.sink.Head(u, e.End, e.Noticed)
	case machine.ReportMissed:
		l.metrics.missed.Inc()
	case machine.ReportTold:
		l.sink.Told(u, e.End, e.Mail, e.Noticed)
	case machine.ReportFetched:
		l.metrics.mails.Add(float64(len(e.Mails)))
		l.sink.Fetched(mailbox.Read{User: u, End: e.End, From: e.From, Upto: e.Upto, Detail: e.Detail, Mails: e.Mails, Err: e.Err})
	case machine.ReportSuspended:
		l.sink.Suspended(u, e.Version, e.Reason)
	}
}

func (r *running) close() {
	if r.cancel != nil {
		r.cancel()
	}
	if r.link != nil {
		r.link.Close()
		r.unserved = moment.Of(time.Now())
	}
	r.conn, r.cancel, r.link = 0, nil, nil
}

// open opens the mailbox in a task, when its mail store's pace allows.
func (l *Loop) open(r *running, conn uint64, known mailbox.End) {
	if r.held() {
		r.conn = conn
		l.loop.Post(func() { l.hold(r, conn, known) })
		return
	}
	if r.refused {
		if failure := l.masters.turn(r.site.key, time.Now()); failure != nil {
			r.conn = conn
			l.loop.Post(func() { l.refuse(r, conn, failure) })
			return
		}
	}
	// Not a child of l.ctx, which would keep a table as large as the largest storm. The
	// end of the loop closes every listener, and with it ends what is being opened.
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.ctx))
	r.conn, r.cancel = conn, cancel
	of := r.mailbox
	source := l.cfg.Sources[of.Store.GetBackend()]
	if source == nil {
		l.loop.Post(func() { l.step(r, machine.Failed{Conn: conn, Failure: noSource(of.Store)}) })
		return
	}
	if resumer, able := source.(Resumer); able && known.UIDNext != 0 {
		if link, opening := resumer.Resume(of, known); link != nil {
			l.loop.Post(func() { l.opened(r, attempt{conn, time.Now()}, link, opening, nil) })
			return
		}
	}
	login := l.loginOf(of)
	notify := &ear{loop: l, running: r, conn: conn}
	l.connects.run(job{store: r.site.key, pace: paceOf(of.Store), since: r.unserved, do: func() {
		if ctx.Err() != nil {
			return // closed while it waited for its turn
		}
		began := time.Now()
		link, opening, err := source.Open(ctx, of, login, notify)
		l.metrics.timed(of.Store.GetName(), toOpen, began, err)
		l.loop.Post(func() { l.opened(r, attempt{conn, began}, link, opening, err) })
	}, back: func() { l.loop.Post(func() { l.hold(r, conn, known) }) }})
}

// refuse answers an opening that is not made, for all know how it would fail.
func (l *Loop) refuse(r *running, conn uint64, failure *mailbox.Failure) {
	if r.conn == conn {
		r.unserved = moment.Of(time.Now()) // the next one is another's
		l.failing(r, machine.Failed{Conn: conn, Failure: failure}, time.Now())
	}
}

// loginOf asks for the credential of a mailbox.
func (l *Loop) loginOf(of mailbox.Listening) LoginFunc {
	return func(ctx context.Context) (mailbox.Login, error) {
		return l.creds.Login(ctx, of.User, of.CredentialSlot)
	}
}

// noSource is why a mailbox is not opened that was meant for a worker built otherwise.
func noSource(store *mailv1.MailStore) *mailbox.Failure {
	return &mailbox.Failure{
		Class:  mailbox.ClassUnavailable,
		Reason: fmt.Sprintf("this worker does not have the backend %q", store.GetBackend()),
	}
}

// attempt is an opening under way: the machine's number of the connection, and when it
// began.
type attempt struct {
	conn  uint64
	began time.Time
}

// opened takes the result of an opening, unless it was given up meanwhile.
func (l *Loop) opened(r *running, try attempt, link Reader, opening Opening, err error) {
	if r.conn != try.conn {
		if link != nil {
			link.Close()
		}
		return
	}
	if err != nil {
		r.unserved = moment.Of(time.Now())
		failure := mailbox.AsFailure(err)
		l.metrics.connects.WithLabelValues(failure.Class.String()).Inc()
		if failure.Class == mailbox.ClassMasterRefused {
			l.masterRefused(r, failure)
		}
		l.failing(r, machine.Failed{Conn: try.conn, Failure: failure, Version: opening.Version}, try.began)
		return
	}
	l.metrics.connects.WithLabelValues("ok").Inc()
	if r.refused {
		r.refused = false
		l.masters.accepted(r.site.key)
	}
	r.cancel() // the opening is over: an idle mailbox holds no context
	r.cancel, r.link = nil, link
	l.reconciler.lives(r, opening.Waits == machine.ByHints)
	l.mu.Lock()
	r.registration = opening.Registration
	l.mu.Unlock()
	l.step(r, machine.Opened{
		Conn: try.conn, End: opening.End, Waits: opening.Waits, Version: opening.Version,
		Note: opening.Note, Again: opening.Again, Unproven: opening.Unproven,
	})
	if !opening.Unproven {
		l.served(r)
	}
}

// masterRefused cries out for the operator, who alone can mend it.
func (l *Loop) masterRefused(r *running, failure *mailbox.Failure) {
	r.refused = true
	if l.masters.refused(r.site.key, failure, time.Now()) {
		l.cfg.Log.ErrorContext(l.ctx, "the mail store refuses the master user, mailboxes wait until that is mended",
			"mail_store", r.mailbox.Store.GetName(), "reason", failure.Reason)
	}
}

// operate runs one operation on the open connection in a task.
func (l *Loop) operate(r *running, what string, operation func(Reader) machine.Event) {
	link, store := r.link, r.site.name
	l.operations.run(job{store: r.site.key, since: moment.Of(time.Now()), do: func() {
		began := time.Now()
		ev := operation(link)
		l.metrics.timed(store, what, began, failureOf(ev))
		l.loop.Post(func() { l.happened(r, ev) })
	}})
}

func (l *Loop) happened(r *running, ev machine.Event) {
	if failed, ok := ev.(machine.Failed); ok && failed.Conn == r.conn {
		l.metrics.failures.WithLabelValues(failed.Failure.Class.String()).Inc()
		l.failing(r, failed, time.Time{})
		return
	}
	l.step(r, ev)
	if answered(ev) && r.waiter != nil && r.link != nil { // it was opened without a look
		l.served(r)
	}
}

// answered tells whether an event is the mail store's answer to an operation.
func answered(ev machine.Event) bool {
	switch ev.(type) {
	case machine.Checked, machine.Fetched:
		return true
	default:
		return false
	}
}

// failureOf is why an operation failed; nil when it did not.
func failureOf(ev machine.Event) error {
	if failed, ok := ev.(machine.Failed); ok {
		return failed.Failure
	}
	return nil
}

func idle(c Reader, e machine.Idle) machine.Event {
	idler, able := c.(Idler)
	if !able {
		return machine.IdleRefused{Conn: e.Conn, Reason: ErrIdleRefused.Error()}
	}
	err := idler.Idle()
	switch {
	case errors.Is(err, ErrIdleRefused):
		return machine.IdleRefused{Conn: e.Conn, Reason: err.Error()}
	case err != nil:
		return machine.Failed{Conn: e.Conn, Failure: mailbox.AsFailure(err)}
	default:
		return machine.Idling(e)
	}
}

func check(c Reader, e machine.Check) machine.Event {
	got, err := c.Check(e.Look)
	if err != nil {
		return machine.Failed{Conn: e.Conn, Failure: mailbox.AsFailure(err)}
	}
	return machine.Checked{Conn: e.Conn, End: got.End, Noticed: got.Noticed, Unsure: got.Unsure}
}

func fetch(c Reader, e machine.Fetch) machine.Event {
	got, err := c.Fetch(mailbox.Range{From: e.From, Upto: e.Upto, Detail: e.Detail, Most: e.Most, Gone: e.Gone, Known: e.Known, Skip: e.Skip})
	if err != nil {
		return machine.Failed{Conn: e.Conn, Failure: mailbox.AsFailure(err)}
	}
	return machine.Fetched{Conn: e.Conn, From: e.From, Upto: got.Upto, Detail: e.Detail, Mails: got.Mails, Gap: got.Gap}
}

// ear brings what a connection says by itself onto the loop.
type ear struct {
	loop    *Loop
	running *running
	conn    uint64
}

// Noticed implements [Notify].
func (e *ear) Noticed(at time.Time) {
	e.loop.loop.Post(func() { e.loop.happened(e.running, machine.Noticed{Conn: e.conn, At: at}) })
}

// Lost implements [Notify].
func (e *ear) Lost(f *mailbox.Failure) {
	e.loop.loop.Post(func() { e.loop.happened(e.running, machine.Failed{Conn: e.conn, Failure: f}) })
}

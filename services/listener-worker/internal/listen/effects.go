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
)

// do carries out one effect. Blocking ones become tasks that come back with an
// event.
func (l *Loop) do(r *running, effect machine.Effect) {
	u := r.mailbox.User
	switch e := effect.(type) {
	case machine.Open:
		l.open(r, e.Conn)
	case machine.Idle:
		l.operate(r, func(c Reader) machine.Event { return idle(c, e) })
	case machine.Check:
		l.operate(r, func(c Reader) machine.Event { return check(c, e) })
	case machine.Fetch:
		l.operate(r, func(c Reader) machine.Event { return fetch(c, e) })
	case machine.Close:
		r.close()
	case machine.SetTimer:
		l.timers.Set(r, e.At)
	case machine.ReportHead:
		l.sink.Head(u, e.End, e.Noticed)
	case machine.ReportFetched:
		l.metrics.mails.Add(float64(len(e.Mails)))
		l.sink.Fetched(mailbox.Read{User: u, End: e.End, From: e.From, Upto: e.Upto, Mails: e.Mails, Err: e.Err})
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
		r.unserved = time.Now()
	}
	r.conn, r.cancel, r.link = 0, nil, nil
}

// open opens the mailbox in a task, when its mail store's pace allows.
func (l *Loop) open(r *running, conn uint64) {
	if r.refused {
		if failure := l.masters.turn(r.storeKey(), time.Now()); failure != nil {
			l.loop.Post(func() { l.step(r, machine.Failed{Conn: conn, Failure: failure}) })
			return
		}
	}
	ctx, cancel := context.WithCancel(l.ctx)
	r.conn, r.cancel = conn, cancel
	of := r.mailbox
	source := l.cfg.Sources[of.Store.GetBackend()]
	if source == nil {
		l.loop.Post(func() { l.step(r, machine.Failed{Conn: conn, Failure: noSource(of.Store)}) })
		return
	}
	login := func(ctx context.Context) (mailbox.Login, error) {
		return l.creds.Login(ctx, of.User, of.CredentialSlot)
	}
	notify := &ear{loop: l, running: r, conn: conn}
	l.connects.run(job{store: r.storeKey(), pace: paceOf(of.Store), since: r.unserved, do: func() {
		if ctx.Err() != nil {
			return // closed while it waited for its turn
		}
		link, opening, err := source.Open(ctx, of, login, notify)
		l.loop.Post(func() { l.opened(r, conn, link, opening, err) })
	}})
}

// noSource is why a mailbox is not opened that was meant for a worker built otherwise.
func noSource(store *mailv1.MailStore) *mailbox.Failure {
	return &mailbox.Failure{
		Class:  mailbox.ClassUnavailable,
		Reason: fmt.Sprintf("this worker does not have the backend %q", store.GetBackend()),
	}
}

// opened takes the result of an opening, unless it was given up meanwhile.
func (l *Loop) opened(r *running, conn uint64, link Reader, opening Opening, err error) {
	if r.conn != conn {
		if link != nil {
			link.Close()
		}
		return
	}
	if err != nil {
		r.unserved = time.Now()
		failure := mailbox.AsFailure(err)
		l.metrics.connects.WithLabelValues(failure.Class.String()).Inc()
		if failure.Class == mailbox.ClassMasterRefused {
			l.masterRefused(r, failure)
		}
		l.step(r, machine.Failed{Conn: conn, Failure: failure, Version: opening.Version})
		return
	}
	l.metrics.connects.WithLabelValues("ok").Inc()
	if r.refused {
		r.refused = false
		l.masters.accepted(r.storeKey())
	}
	r.link = link
	l.step(r, machine.Opened{Conn: conn, End: opening.End, Waits: opening.Waits, Version: opening.Version})
}

// masterRefused cries out for the operator, who alone can mend it.
func (l *Loop) masterRefused(r *running, failure *mailbox.Failure) {
	r.refused = true
	if l.masters.refused(r.storeKey(), failure, time.Now()) {
		l.cfg.Log.ErrorContext(l.ctx, "the mail store refuses the master user, mailboxes wait until that is mended",
			"mail_store", r.mailbox.Store.GetName(), "reason", failure.Reason)
	}
}

// operate runs one operation on the open connection in a task.
func (l *Loop) operate(r *running, operation func(Reader) machine.Event) {
	link := r.link
	l.operations.run(job{store: r.storeKey(), since: time.Now(), do: func() {
		ev := operation(link)
		l.loop.Post(func() { l.happened(r, ev) })
	}})
}

func (l *Loop) happened(r *running, ev machine.Event) {
	if failed, ok := ev.(machine.Failed); ok && failed.Conn == r.conn {
		l.metrics.failures.WithLabelValues(failed.Failure.Class.String()).Inc()
	}
	l.step(r, ev)
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
	got, err := c.Fetch(mailbox.Range{From: e.From, Upto: e.Upto, Most: e.Most, Gone: e.Gone, Known: e.Known, Skip: e.Skip})
	if err != nil {
		return machine.Failed{Conn: e.Conn, Failure: mailbox.AsFailure(err)}
	}
	return machine.Fetched{Conn: e.Conn, From: e.From, Upto: got.Upto, Mails: got.Mails, Gap: got.Gap}
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

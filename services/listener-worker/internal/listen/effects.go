// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"time"

	"mailpush.internal/services/listener-worker/internal/listener"
)

// do carries out one effect. Blocking ones become tasks that come back with an
// event.
func (l *Loop) do(r *running, effect listener.Effect) {
	u := r.mailbox.User
	switch e := effect.(type) {
	case listener.Open:
		l.open(r, e.Conn)
	case listener.Idle:
		l.operate(r, func(c listener.Conn) listener.Event { return idle(c, e) })
	case listener.Check:
		l.operate(r, func(c listener.Conn) listener.Event { return check(c, e) })
	case listener.Fetch:
		l.operate(r, func(c listener.Conn) listener.Event { return fetch(c, e) })
	case listener.Close:
		r.close()
	case listener.SetTimer:
		l.timers.set(r, e.At)
	case listener.ReportHead:
		l.sink.Head(u, e.Box, e.Noticed)
	case listener.ReportFetched:
		l.metrics.mails.Add(float64(len(e.Mails)))
		l.sink.Fetched(Batch{User: u, Box: e.Box, From: e.From, Upto: e.Upto, Mails: e.Mails, Err: e.Err})
	case listener.ReportSuspended:
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
			l.inbox.post(func() { l.step(r, listener.Failed{Conn: conn, Failure: failure}) })
			return
		}
	}
	ctx, cancel := context.WithCancel(l.ctx)
	r.conn, r.cancel = conn, cancel
	user, store, slot := r.mailbox.User, r.mailbox.Store, r.mailbox.CredentialSlot
	login := func(ctx context.Context) (Login, error) { return l.creds.Login(ctx, user, slot) }
	notify := &ear{loop: l, running: r, conn: conn}
	l.connects.run(job{store: r.storeKey(), pace: paceOf(store), since: r.unserved, do: func() {
		if ctx.Err() != nil {
			return // closed while it waited for its turn
		}
		link, opening, err := l.cfg.Backend.Open(ctx, store, login, notify)
		l.inbox.post(func() { l.opened(r, conn, link, opening, err) })
	}})
}

// opened takes the result of an opening, unless it was given up meanwhile.
func (l *Loop) opened(r *running, conn uint64, link listener.Conn, opening listener.Opening, err error) {
	if r.conn != conn {
		if link != nil {
			link.Close()
		}
		return
	}
	if err != nil {
		r.unserved = time.Now()
		failure := listener.AsFailure(err)
		l.metrics.connects.WithLabelValues(failure.Class.String()).Inc()
		if failure.Class == listener.ClassMasterRefused {
			l.masterRefused(r, failure)
		}
		l.step(r, listener.Failed{Conn: conn, Failure: failure, Version: opening.Version})
		return
	}
	l.metrics.connects.WithLabelValues("ok").Inc()
	if r.refused {
		r.refused = false
		l.masters.accepted(r.storeKey())
	}
	r.link = link
	l.step(r, listener.Opened{Conn: conn, Box: opening.Box, CanIdle: opening.CanIdle, Version: opening.Version})
}

// masterRefused cries out for the operator, who alone can mend it.
func (l *Loop) masterRefused(r *running, failure *listener.Failure) {
	r.refused = true
	if l.masters.refused(r.storeKey(), failure, time.Now()) {
		l.cfg.Log.ErrorContext(l.ctx, "the mail store refuses the master user, mailboxes wait until that is mended",
			"mail_store", r.mailbox.Store.GetName(), "reason", failure.Reason)
	}
}

// operate runs one operation on the open connection in a task.
func (l *Loop) operate(r *running, operation func(listener.Conn) listener.Event) {
	link := r.link
	l.operations.run(job{store: r.storeKey(), since: time.Now(), do: func() {
		ev := operation(link)
		l.inbox.post(func() { l.happened(r, ev) })
	}})
}

func (l *Loop) happened(r *running, ev listener.Event) {
	if failed, ok := ev.(listener.Failed); ok && failed.Conn == r.conn {
		l.metrics.failures.WithLabelValues(failed.Failure.Class.String()).Inc()
	}
	l.step(r, ev)
}

func idle(c listener.Conn, e listener.Idle) listener.Event {
	err := c.Idle()
	switch {
	case errors.Is(err, listener.ErrIdleRefused):
		return listener.IdleRefused{Conn: e.Conn, Reason: err.Error()}
	case err != nil:
		return listener.Failed{Conn: e.Conn, Failure: listener.AsFailure(err)}
	default:
		return listener.Idling(e)
	}
}

func check(c listener.Conn, e listener.Check) listener.Event {
	box, noticed, err := c.Check(e.Look)
	if err != nil {
		return listener.Failed{Conn: e.Conn, Failure: listener.AsFailure(err)}
	}
	return listener.Checked{Conn: e.Conn, Box: box, Noticed: noticed}
}

func fetch(c listener.Conn, e listener.Fetch) listener.Event {
	mails, upto, err := c.Fetch(e.From, e.Upto)
	if err != nil {
		return listener.Failed{Conn: e.Conn, Failure: listener.AsFailure(err)}
	}
	return listener.Fetched{Conn: e.Conn, From: e.From, Upto: upto, Mails: mails}
}

// ear brings what a connection says by itself onto the loop.
type ear struct {
	loop    *Loop
	running *running
	conn    uint64
}

// Noticed implements [listener.Notify].
func (e *ear) Noticed(at time.Time) {
	e.loop.inbox.post(func() { e.loop.happened(e.running, listener.Noticed{Conn: e.conn, At: at}) })
}

// Lost implements [listener.Notify].
func (e *ear) Lost(f *listener.Failure) {
	e.loop.inbox.post(func() { e.loop.happened(e.running, listener.Failed{Conn: e.conn, Failure: f}) })
}

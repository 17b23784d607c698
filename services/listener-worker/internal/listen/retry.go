// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Why a listener may try before its back-off is over; labels in metrics.
const (
	byProbe   = "probe"
	bySuccess = "success"
	byHint    = "hint"
	byHand    = "hand"
)

// let has a listener that waits try now: it queues for its mail store's pace.
func (l *Loop) let(r *running, by string) {
	l.metrics.retries.WithLabelValues(by).Inc()
	fresh := r.waiter != nil && r.waiter.Freed() && r.waiter.ByLoss()
	r.let = by != bySuccess
	l.step(r, machine.Retry{Fresh: fresh})
	r.let = false
}

// held tells whether a listener has to wait, for its mail store is down.
func (r *running) held() bool { return r.site.Down() && !r.let }

// hold has a listener wait that was about to open its mailbox.
func (l *Loop) hold(r *running, conn uint64, known mailbox.End) {
	if r.conn != conn {
		return // it was given up
	}
	if !r.site.Down() { // not any more
		if r.cancel != nil {
			r.cancel()
		}
		l.open(r, conn, known)
		return
	}
	r.site.Held(r.wait(), time.Now())
	l.step(r, machine.Failed{Conn: conn, Failure: r.site.Said(), Awaits: true})
}

// hintedAway lets a listener try that waits for its mail store, which seems to live.
func (l *Loop) hintedAway(r *running) {
	if r.waiter != nil && r.site.Hinted(r.waiter, time.Now()) {
		l.let(r, byHint)
	}
}

// Which says which listeners are meant: those of a mail store, or of a user; without either,
// all of them.
type Which struct {
	Store string
	User  mailbox.User
}

func (w Which) means(of mailbox.Listening) bool {
	return (w.Store == "" || w.Store == of.Store.GetName()) && (w.User == mailbox.User{} || w.User == of.User)
}

// Retried is what became of a Retry.
type Retried struct {
	// Told is how many listeners try again, whose back-off has ended.
	Told int
	// Suspended is how many do not: their credential was refused, and takes a new one.
	Suspended int
}

// Retry has listeners try again that are in back-off, for whatever reason, each in its turn
// at its mail store's pace. Others go on as they do.
func (l *Loop) Retry(ctx context.Context, which Which) (Retried, error) {
	done := make(chan Retried, 1)
	l.loop.Post(func() { done <- l.retry(which) })
	select {
	case retried := <-done:
		return retried, nil
	case <-ctx.Done():
		return Retried{}, fault.Wrap(fault.Unavailable, ctx.Err(), "the worker's listeners do not run at the moment")
	}
}

func (l *Loop) retry(which Which) (did Retried) {
	var waits []*running
	for _, r := range l.meant(which) {
		switch r.machine.State() {
		case mailv1.ListenerState_LISTENER_STATE_BACKOFF:
			waits = append(waits, r)
		case mailv1.ListenerState_LISTENER_STATE_SUSPENDED:
			did.Suspended++
		default:
		}
	}
	did.Told = len(waits)
	slices.SortFunc(waits, func(a, b *running) int { return cmp.Compare(a.unserved, b.unserved) })
	if which.User == (mailbox.User{}) {
		for _, r := range waits {
			r.site.Forget() // what is known of it is in doubt, says who knows better
			l.isUp(r.site)
			l.masters.again(r.site.key)
		}
	}
	for _, r := range waits {
		l.let(r, byHand)
	}
	return did
}

func (l *Loop) meant(which Which) []*running {
	if which.User != (mailbox.User{}) {
		if r := l.listed[which.User]; r != nil && which.means(r.mailbox) {
			return []*running{r}
		}
		return nil
	}
	var all []*running
	for _, r := range l.listed {
		if which.means(r.mailbox) {
			all = append(all, r)
		}
	}
	return all
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"fmt"
	"time"

	"mailpush.internal/pkg/identity"
)

// Lost is what a trial has cost those whom it was done to.
type Lost struct {
	Subscriptions int // that are not there, or are disabled
	Listeners     int // that are not in IDLE
	Mails         int // that were not accepted, each at its endpoint
	DeadLetters   int
	Beside        int // mails of the other tenant that were not accepted meanwhile
	// Served is how long it took until the last mail was accepted, from when the endpoints
	// were well again.
	Served time.Duration
}

// Sum is all that is lost.
func (l Lost) Sum() int {
	return l.Subscriptions + l.Listeners + l.Mails + l.DeadLetters + l.Beside
}

// String names what is lost.
func (l Lost) String() string {
	return fmt.Sprintf("%d subscriptions, %d listeners, %d mails, %d dead letters, %d mails beside; the last mail after %.1f s",
		l.Subscriptions, l.Listeners, l.Mails, l.DeadLetters, l.Beside, l.Served.Seconds())
}

// Patience is how long a trial waits for what may still come.
type Patience struct {
	Within time.Duration
	// Hurry has what is pending tried at once when the endpoints are well again, as an
	// operator can: else that takes as long as it takes.
	Hurry bool
}

// count counts what a group has lost of its mails up to a UID, once its endpoints are well
// again.
func (w *World) count(ctx context.Context, at *origin, g *group, upto uint32, p Patience) (Lost, error) {
	well := time.Now()
	var lost Lost
	var err error
	// Before anything is enabled: what was lost would look well then.
	if lost.Subscriptions, err = w.ended(ctx, g); err != nil {
		return lost, err
	}
	if p.Hurry {
		if err := w.hurry(ctx, g); err != nil {
			return lost, err
		}
	}
	if err := at.await(ctx, p.Within, upto, g.users); err != nil && ctx.Err() != nil {
		return lost, err
	}
	lost.Served = max(at.latest(upto, g.users).Sub(well), 0)
	lost.Mails = at.missing(upto, g.users)
	if lost.DeadLetters, err = w.deadLetters(ctx, g); err != nil {
		return lost, err
	}
	listening, err := w.idle(ctx, g)
	lost.Listeners = len(g.users) - listening
	return lost, err
}

// LoginsLost has both workers log in again to all mailboxes, and counts those of the trials
// before that are not served any more. Nothing may run beside it.
func (w *World) LoginsLost(ctx context.Context) (int, error) {
	w.tell("logins: both workers are restarted")
	w.mu.Lock()
	second := w.worker
	w.worker = nil
	w.mu.Unlock()
	if err := second.Stop(); err != nil {
		return 0, err
	}
	if err := w.mailpush.Restart(ctx, identity.Worker); err != nil {
		return 0, err
	}
	if err := w.startWorker(); err != nil {
		return 0, err
	}
	lost := 0
	for _, g := range w.tried() {
		if err := w.awaitIdle(ctx, settle, g, len(g.users)); err != nil && ctx.Err() != nil {
			return 0, err
		}
		n, err := w.idle(ctx, g)
		if err != nil {
			return 0, err
		}
		lost += len(g.users) - n
	}
	w.tell("logins: %d are lost", lost)
	return lost, nil
}

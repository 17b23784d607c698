// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// statusUsers is how many users' lanes are looked at in one go: the loop has other
// things to do.
const statusUsers = 500

// Status is how far a subscription has been served in one folder.
type Status struct {
	Subscription string
	Folder       string
	pump.Status
}

// Status reports the lanes of the users there are. It returns early, with an error,
// when ctx or the loop ends.
func (l *Loop) Status(ctx context.Context, users []mailbox.User) ([]Status, error) {
	var out []Status
	for some := range slices.Chunk(users, statusUsers) {
		answer := make(chan []Status, 1)
		l.loop.Post(func() { answer <- l.status(some) })
		select {
		case found := <-answer:
			out = append(out, found...)
		case <-l.stopped:
			return nil, context.Canceled
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return out, nil
}

func (l *Loop) status(users []mailbox.User) []Status {
	var out []Status
	now := time.Now()
	for _, user := range users {
		if b := l.boxes[user]; b != nil {
			for _, lane := range b.lanes {
				out = append(out, lane.status(now))
			}
		}
	}
	return out
}

// status is how far a lane has been served, and what it waits for.
func (lane *lane) status(now time.Time) Status {
	status := Status{lane.subscription.ID, lane.folder, lane.pump.Status(now)}
	waits := status.State == pump.Backoff || status.State == pump.Busy && lane.Awaits()
	if !waits || !lane.Held() {
		return status
	}
	breaker := lane.Origin().Breaker()
	_, reason := lane.Origin().Outage(now)
	status.State, status.NextTry = pump.AwaitsOrigin, breaker.Until()
	status.LastError = cmp.Or(status.LastError, itsOrigin+reason)
	return status
}

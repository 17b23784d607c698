// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Explanation is what one listener waits for.
type Explanation struct {
	Status

	// NextTry is when it tries again; zero when it does not wait, or nobody can say.
	NextTry time.Time
	// Store is its mail store as this worker finds it.
	Store ExplainedStore
}

// ExplainedStore is a mail store as a worker's listeners find it.
type ExplainedStore struct {
	Name string
	// DownSince is since when it serves nobody; zero while it does, or nobody can tell.
	DownSince time.Time
	// Listeners are those there, of which so many are Served.
	Listeners, Served int
}

// Explain tells all there is to know of a user's listener; known is false when there is
// none. It returns early, with an error, when ctx or the loop ends.
func (l *Loop) Explain(ctx context.Context, user mailbox.User) (out Explanation, known bool, err error) {
	answer := make(chan *Explanation, 1)
	l.loop.Post(func() { answer <- l.explain(user) })
	select {
	case found := <-answer:
		if found == nil {
			return Explanation{}, false, nil
		}
		return *found, true, nil
	case <-ctx.Done():
		return Explanation{}, false, context.Cause(ctx)
	}
}

func (l *Loop) explain(user mailbox.User) *Explanation {
	r := l.listed[user]
	if r == nil {
		return nil
	}
	return &Explanation{
		Status: r.status(), NextTry: r.nextTry(time.Now()),
		Store: ExplainedStore{
			Name: r.site.name, DownSince: r.site.down, Listeners: r.site.listeners, Served: r.site.Listening(),
		},
	}
}

// nextTry is when a listener in back-off tries again: by itself, or when somebody finds out
// about its mail store.
func (r *running) nextTry(now time.Time) time.Time {
	if r.machine.State() != mailv1.ListenerState_LISTENER_STATE_BACKOFF {
		return time.Time{}
	}
	var next time.Time
	if r.Waits() {
		next = r.Due().Time(now)
	}
	if r.waiter != nil {
		next = loop.Sooner(next, r.site.Next(now))
	}
	return next
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Listener is what a worker reports of one listener.
type Listener struct {
	registry.UserID
	Permanent        bool
	Backend          string
	State            mailv1.ListenerState
	Worker           string // empty when none runs it
	Since, LastEvent time.Time
	LastError        string
}

// PushUsers returns a page of up to limit users above after, in natural order:
// those whose listener a worker reports, and those of whom it is known that they
// should have one but none is reported: a suspended credential, a silent worker.
// The page may hold fewer; next is empty on the last one.
func (e *Edge) PushUsers(ctx context.Context, contextID, after string, limit int) (page []Listener, next string, err error) {
	users, err := e.Store.ListUsers(ctx, contextID, after, limit)
	if err != nil {
		return nil, "", err
	}
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return nil, "", err
	}
	said, silent := ask(ctx, e.Log, e.byOwner(users, members.Workers), e.listeners)
	reports := reports{make(map[registry.UserID]Listener, len(said)), silent}
	for _, l := range said {
		reports.listeners[l.UserID] = l
	}
	for _, u := range users {
		if l, ok := e.show(u, reports); ok {
			page = append(page, l)
		}
	}
	if len(users) == limit {
		next = users[limit-1].Key()
	}
	return page, next, nil
}

// listeners asks one worker.
func (e *Edge) listeners(ctx context.Context, w *Worker, users []registry.UserID) ([]Listener, error) {
	said, err := e.Workers.Listeners(ctx, w.Address, users)
	for i := range said {
		said[i].Worker = cmp.Or(said[i].Worker, w.ID)
	}
	return said, err
}

// reports is what the workers have said, and who has not said anything.
type reports struct {
	listeners map[registry.UserID]Listener
	silent    silence
}

// show makes the line of one user, if it has one.
func (e *Edge) show(u registry.User, r reports) (Listener, bool) {
	if l, ok := r.listeners[u.UserID]; ok {
		return l, true
	}
	d := decide.Listener(e.Policy, u, decide.NotAsked)
	line := Listener{UserID: u.UserID, Permanent: true, Backend: d.Backend}
	if d.Last() == decide.CheckCredential && !d.OK() {
		line.State, line.LastError = mailv1.ListenerState_LISTENER_STATE_SUSPENDED, u.Credential.Reason
		return line, true
	}
	worker, silent := r.silent[u.UserID]
	if !silent || !d.OK() {
		return Listener{}, false
	}
	line.Worker, line.LastError = worker, "worker "+worker+" did not answer"
	return line, true
}

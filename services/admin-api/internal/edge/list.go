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

	// Of a listener that is told of new mail: when it was last, when the mail store last
	// told where the mailbox ends, and whether it knows where to tell.
	LastHint, LastProof time.Time
	Registration        mailv1.Registration
}

// usersAtOnce is of how many users workers are asked at once, which bound it, too.
const usersAtOnce = 10_000

// PushUsers returns a page of up to limit users above after, in natural order:
// those whose listener a worker reports, and those of whom it is known that they
// should have one but none is reported: a suspended credential, a silent worker.
// next is empty on the last page. Users that have no listener are passed over, however
// many they are: a page is short only when it is the last.
func (e *Edge) PushUsers(ctx context.Context, contextID, after string, limit int) (page []Listener, next string, err error) {
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return nil, "", err
	}
	for look := min(limit+1, usersAtOnce); ; look = usersAtOnce { // the one above the limit says whether more follow
		users, err := e.Store.ListUsers(ctx, contextID, after, look)
		if err != nil {
			return nil, "", err
		}
		page = append(page, e.pushUsers(ctx, users, members.Workers)...)
		switch {
		case len(page) > limit:
			return page[:limit], page[limit-1].Key(), nil
		case len(users) < look:
			return page, "", nil
		}
		after = users[look-1].Key()
	}
}

// pushUsers are the lines of those users that have one.
func (e *Edge) pushUsers(ctx context.Context, users []registry.User, workers []Worker) (lines []Listener) {
	said, silent := ask(ctx, e.Log, e.byOwner(users, workers), e.listeners)
	reports := reports{make(map[registry.UserID]Listener, len(said)), silent}
	for _, l := range said {
		reports.listeners[l.UserID] = l
	}
	for _, u := range users {
		if l, ok := e.show(u, reports); ok {
			lines = append(lines, l)
		}
	}
	return lines
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

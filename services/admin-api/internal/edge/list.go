// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

const (
	// askTime bounds the question to one worker: a worker that hangs must not hold
	// up the list of the others.
	askTime = 5 * time.Second
	// askAtOnce bounds how many workers are asked side by side.
	askAtOnce = 32
)

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
	reports := e.ask(ctx, e.byOwner(users, members.Workers))
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

// byOwner sorts users by the worker that reports to run their shard; of two that
// do, the one with the higher epoch is the owner.
func (e *Edge) byOwner(users []registry.User, workers []Worker) map[string]*question {
	type slot struct {
		backend string
		shard   uint32
	}
	type owner struct {
		worker *Worker
		epoch  uint64
	}
	owners := make(map[slot]owner)
	for i, w := range workers {
		for _, c := range w.Held {
			at := slot{c.Backend, c.Shard}
			if o, ok := owners[at]; !ok || o.epoch < c.Epoch {
				owners[at] = owner{&workers[i], c.Epoch}
			}
		}
	}
	out := make(map[string]*question)
	for _, u := range users {
		o, ok := owners[slot{e.Policy.Stores[u.Store], registry.ShardOf(u.UserID, e.Shards)}]
		if !ok {
			continue
		}
		q := out[o.worker.ID]
		if q == nil {
			q = &question{worker: o.worker}
			out[o.worker.ID] = q
		}
		q.users = append(q.users, u.UserID)
	}
	return out
}

// question is what one worker is asked for.
type question struct {
	worker *Worker
	users  []registry.UserID
}

// reports is what the workers have said.
type reports struct {
	listeners map[registry.UserID]Listener
	silent    map[registry.UserID]string // the worker that did not answer for the user
}

func (e *Edge) ask(ctx context.Context, questions map[string]*question) reports {
	out := reports{make(map[registry.UserID]Listener), make(map[registry.UserID]string)}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for _, q := range questions {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			listeners, err := e.Workers.Listeners(ctx, q.worker.Address, q.users)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				e.Log.WarnContext(ctx, "worker did not answer", "worker", q.worker.ID, "error", err)
				for _, u := range q.users {
					out.silent[u] = q.worker.ID
				}
			}
			for _, l := range listeners {
				l.Worker = cmp.Or(l.Worker, q.worker.ID)
				out.listeners[l.UserID] = l
			}
			return nil
		})
	}
	_ = group.Wait() // the questions return no error: a silent worker is part of the answer
	return out
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

const (
	// baselineTime bounds the whole search for a baseline.
	baselineTime = 45 * time.Second
	// baselineWorkers is how many workers are asked when one does not answer.
	baselineWorkers = 3
)

// Baseline is where a mailbox ends, and which version of the login has opened it; or why
// that is not known.
type Baseline struct {
	Cursors []registry.Cursor
	Version uint64
	Err     error
}

// open has workers log in and say where the mailboxes end that have to be opened, those of
// several mail stores side by side.
func (p *page) open(ctx context.Context) {
	at := make(map[string][]*enrolment)
	var all []*enrolment
	for _, n := range p.going() {
		if n.opens() {
			at[n.after.Store] = append(at[n.after.Store], n)
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, baselineTime)
	defer cancel()
	members, err := p.Scheduler.Members(ctx)
	if err != nil {
		fail(all, err)
		return
	}
	var stores sync.WaitGroup
	for store, list := range at {
		stores.Go(func() { p.openAt(ctx, candidates(members.Workers, p.Policy.Stores[store]), store, list) })
	}
	stores.Wait()
}

// openAt has a worker open mailboxes of one mail store, and the next one those that this one
// says nothing of.
func (p *page) openAt(ctx context.Context, capable []Worker, store string, list []*enrolment) {
	if len(capable) == 0 {
		fail(list, fault.New(fault.Unavailable, "no live worker is capable of %s; try again", p.Policy.Stores[store]))
	}
	for _, w := range capable {
		users := make([]registry.User, len(list))
		for i, n := range list {
			users[i] = n.named()
		}
		answers, err := p.Workers.Baselines(ctx, w.Address, users, p.Stores[store])
		var silent []*enrolment
		for i, n := range list {
			answer := Baseline{Err: err}
			if err == nil {
				answer = n.ofTheLogin(answers[i])
			}
			if errors.Is(answer.Err, ErrNoAnswer) {
				n.err = fault.Wrap(fault.Unavailable, answer.Err, "no worker answers; try again") // unless the next one does
				silent = append(silent, n)
				continue
			}
			n.err = n.judge(ctx, answer)
		}
		if list = silent; len(list) == 0 {
			return
		}
		p.Log.WarnContext(ctx, "worker did not answer", "worker", w.ID, "mailboxes", len(list), "error", list[0].err)
	}
}

// ofTheLogin is an answer that is about the login that has been sealed. A worker of a release
// that knows no slots has opened what was there before.
func (n *enrolment) ofTheLogin(b Baseline) Baseline {
	sealed := n.cred != nil && n.cred.Kind != registry.KindDoveadm
	if sealed && (fault.KindOf(b.Err) == fault.NotFound || b.Err == nil && b.Version != n.cred.Version) {
		b.Err = errors.Join(ErrNoAnswer, b.Err)
	}
	return b
}

// judge takes in where the mailbox ends. A refused login of the
// user's own is no error here when it is the first: it is stored as suspended, and the
// decision tells the caller. It must not come into the place of another one, which all
// clients of the user live by. A refused master user is the operator's to mend, and no
// fault of the user's.
func (n *enrolment) judge(ctx context.Context, b Baseline) error {
	c, err := n.after.Credential, b.Err
	switch {
	case err == nil:
		if len(n.sub.Cursors) == 0 {
			n.sub.Cursors = b.Cursors
		}
		return nil
	case fault.KindOf(err) == fault.Unauthenticated && c.Kind == registry.KindMaster:
		n.Log.WarnContext(ctx, "the master user could not open a mailbox",
			"context_id", n.User.Context, "user_id", n.User.User, "mail_store", n.after.Store, "error", err)
		return fault.New(fault.Unavailable, "%s; the operator has to mend that, try again then", err)
	case fault.KindOf(err) == fault.Unauthenticated && n.cred != nil && n.hasLogin():
		n.Log.InfoContext(ctx, "a new login was refused, the stored one is kept",
			"context_id", n.User.Context, "user_id", n.User.User, "mail_store", n.after.Store, "error", err)
		return fault.New(fault.Precondition, "account: %s; the login that is stored is kept, and nothing was changed", clip(err.Error()))
	case fault.KindOf(err) == fault.Unauthenticated:
		c.State, c.Reason = registry.CredentialSuspended, clip(err.Error())
		n.credential(c)
		return nil
	case fault.KindOf(err) == fault.NotFound: // a vault that keeps nothing on disk has been restarted
		n.credential(registry.Credential{State: registry.CredentialNone, Version: c.Version})
		return nil
	default:
		return err
	}
}

// named is the user as a worker is to know it: with what doveadm is to be asked for, and
// without where that is not asked.
func (n *enrolment) named() registry.User {
	u := n.after
	u.Doveadm, _ = n.Policy.ByDoveadm(u)
	return u
}

// candidates are the capable workers in random order, those that stay before those
// that are about to leave.
func candidates(workers []Worker, backend string) []Worker {
	var stay, leave []Worker
	for _, w := range workers {
		switch {
		case !slices.Contains(w.Backends, backend):
		case w.Draining:
			leave = append(leave, w)
		default:
			stay = append(stay, w)
		}
	}
	for _, l := range [][]Worker{stay, leave} {
		rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	}
	all := slices.Concat(stay, leave)
	return all[:min(len(all), baselineWorkers)]
}

// clip keeps a mail store's words within what the registry stores.
func clip(s string) string {
	const limit = 500
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}

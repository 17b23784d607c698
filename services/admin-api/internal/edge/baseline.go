// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
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

// baseline has a worker log in and say where the mailbox ends. A refused login of the
// user's own is no error here when it is the first: it is stored as suspended, and the
// decision tells the caller. It must not come into the place of another one, which all
// clients of the user live by. A refused master user is the operator's to mend, and no
// fault of the user's.
func (n *enrolment) baseline(ctx context.Context, backend string) error {
	ctx, cancel := context.WithTimeout(ctx, baselineTime)
	defer cancel()
	cursors, err := n.askBaseline(ctx, backend)
	c := n.after.Credential
	switch {
	case err == nil:
		if len(n.sub.Cursors) == 0 {
			n.sub.Cursors = cursors
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

func (n *enrolment) askBaseline(ctx context.Context, backend string) ([]registry.Cursor, error) {
	members, err := n.Scheduler.Members(ctx)
	if err != nil {
		return nil, err
	}
	capable := candidates(members.Workers, backend)
	if len(capable) == 0 {
		return nil, fault.New(fault.Unavailable, "no live worker is capable of %s; try again", backend)
	}
	for _, w := range capable {
		var cursors []registry.Cursor
		var version uint64
		cursors, version, err = n.Workers.Baseline(ctx, w.Address, n.named(), n.Stores[n.after.Store])
		if sealed := n.cred != nil && n.cred.Kind != registry.KindDoveadm; sealed && (fault.KindOf(err) == fault.NotFound || err == nil && version != n.cred.Version) {
			// A worker of a release that knows no slots has opened what was there before.
			err = errors.Join(ErrNoAnswer, err)
		}
		if !errors.Is(err, ErrNoAnswer) {
			return cursors, err
		}
		n.Log.WarnContext(ctx, "worker did not answer", "worker", w.ID, "error", err)
	}
	return nil, fault.Wrap(fault.Unavailable, err, "no worker answers; try again")
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

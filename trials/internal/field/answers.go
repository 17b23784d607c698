// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/trials/internal/rig"
)

// GoneOptions say how long a proxy answers for endpoints that it does not find.
type GoneOptions struct {
	Endpoints int
	For       time.Duration
	Patience  Patience
}

// Gone has a proxy answer 404 for all endpoints of one tenant for a while, as it does while
// what is behind it is deployed, and counts what that costs: subscriptions, listeners with
// their logins, cursors and so mails. Mail comes before, meanwhile and after.
func (w *World) Gone(ctx context.Context, name string, o GoneOptions) (Lost, error) {
	trouble := trouble{
		name: name, host: "127.0.0.12", endpoints: o.Endpoints, lasts: o.For, mails: 2, patience: o.Patience,
		moods: func(*group) map[string]mood { return nil }, whole: always(http.StatusNotFound),
	}
	return w.suffer(ctx, trouble)
}

// RefusedOptions say how long receivers have a wrong secret.
type RefusedOptions struct {
	Endpoints int
	For       time.Duration
	Patience  Patience
}

// Refused has the receivers of one tenant verify with a wrong secret for a while, and so
// answer 400 to all they get, and counts what that costs.
func (w *World) Refused(ctx context.Context, o RefusedOptions) (Lost, error) {
	const wrong = "whsec_d3JvbmcsIGZvciBpdCBpcyBhbm90aGVyJ3Mu"
	return w.suffer(ctx, trouble{
		name: "refused", host: "127.0.0.13", endpoints: o.Endpoints, lasts: o.For, mails: 5, patience: o.Patience,
		moods: (*group).expecting, whole: expecting(wrong),
	})
}

// trouble is what becomes of one tenant's endpoints for a while.
type trouble struct {
	name, host string
	endpoints  int
	lasts      time.Duration
	mails      uint32                       // that come to each meanwhile
	moods      func(*group) map[string]mood // of the endpoints when they are well; nil: they accept
	whole      mood                         // of all of them while they are not
	patience   Patience
}

// expecting are the moods of receivers that verify with the secrets they were given.
func (g *group) expecting() map[string]mood {
	g.mu.Lock()
	defer g.mu.Unlock()
	moods := make(map[string]mood)
	for user, secret := range g.secrets {
		moods[user] = expecting(secret)
	}
	return moods
}

// suffer has the endpoints of one tenant be in trouble for a while, with another tenant's
// beside them, and counts what is lost.
func (w *World) suffer(ctx context.Context, t trouble) (Lost, error) {
	at, err := newOrigin(t.host)
	if err != nil {
		return Lost{}, err
	}
	defer at.goAway()
	g, beside := newGroup(ours, t.name, t.endpoints), newGroup(others, t.name+"-beside", max(t.endpoints/10, 2))
	if err := w.settleIn(ctx, at, t, g, beside); err != nil {
		return Lost{}, err
	}
	w.tell("%s: %d endpoints are in trouble for %v", t.name, t.endpoints, t.lasts)
	at.set(t.whole, g.users...)
	if err := w.deliverWhile(ctx, t, g, beside); err != nil {
		return Lost{}, err
	}
	if at.refusals(g.users) == 0 {
		return Lost{}, errors.New("none of the endpoints has refused anything: the trial is void")
	}
	for _, user := range g.users {
		at.set(t.moods(g)[user], user)
	}
	last := 1 + t.mails + 1 // before, meanwhile and after
	w.deliver(g, beside)
	lost, err := w.count(ctx, at, g, last, t.patience)
	if err != nil {
		return lost, err
	}
	if err := at.await(ctx, settle, last, beside.users); err != nil && ctx.Err() != nil {
		return lost, err
	}
	lost.Beside = at.missing(last, beside.users)
	w.remember(g)
	w.tell("%s: lost %v", t.name, lost)
	return lost, nil
}

// settleIn subscribes everybody, and has a first mail accepted.
func (w *World) settleIn(ctx context.Context, at *origin, t trouble, groups ...*group) error {
	for _, g := range groups {
		if err := w.subscribe(ctx, rig.StoreName, g, at.url); err != nil {
			return err
		}
		for user, mood := range t.moods(g) {
			at.set(mood, user)
		}
		if err := w.awaitIdle(ctx, settle, g, len(g.users)); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		w.deliver(g)
		if err := at.await(ctx, settle, 1, g.users); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// deliverWhile spreads mail over the time of the trouble.
func (w *World) deliverWhile(ctx context.Context, t trouble, groups ...*group) error {
	var lasting errgroup.Group
	lasting.Go(func() error { return rig.Pause(ctx, t.lasts) })
	lasting.Go(func() error {
		for range t.mails {
			w.deliver(groups...)
			if err := rig.Pause(ctx, t.lasts/time.Duration(t.mails+1)); err != nil {
				return err
			}
		}
		return nil
	})
	return lasting.Wait()
}

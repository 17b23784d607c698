// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/trials/internal/rig"
)

// NeighbourOptions say what is beside the endpoints that work.
type NeighbourOptions struct {
	Failing int           // endpoints of the other tenant that answer 500 by now, and as many that never consented
	Away    time.Duration // the origin
	Within  time.Duration // how long to wait for the mail once the origin is back
}

// Served is how the working endpoints have fared.
type Served struct {
	After time.Duration // the origin's first answer; what was waited when it was in vain
	All   bool
	// Shown is whether their subscriptions were shown as waiting while the origin was away.
	Shown bool
}

// Err is nil when all were served in time and were shown as they were.
func (s Served) Err(within time.Duration) error {
	switch {
	case !s.All || s.After >= within:
		return fmt.Errorf("working endpoints have waited for their mail for %v after their origin's first answer, want less than %v", s.After, within)
	case !s.Shown:
		return errors.New("a subscription whose origin was away was shown as active")
	}
	return nil
}

// besides are the endpoints of another tenant at an origin, by what is wrong with them. They
// have accepted pushes before, but for the last three.
type besides struct {
	failing, denied, hanging *group // answer 500; 401; nothing
	silent, mute, unresolved *group // answer 500 to pings; nothing; are looked for by a name that nobody knows
}

func newBesides(n int) *besides {
	return &besides{
		failing: newGroup(others, "failing", n), denied: newGroup(others, "denied", max(n/4, 1)), hanging: newGroup(others, "hanging", 2),
		silent: newGroup(others, "silent", n), mute: newGroup(others, "mute", 1), unresolved: newGroup(others, "unresolved", 2),
	}
}

func (b *besides) all() []*group {
	return []*group{b.failing, b.denied, b.hanging, b.silent, b.mute, b.unresolved}
}

// Neighbour measures how long working endpoints at an origin that was away wait for their
// mail: from the origin's first answer until the last of them has accepted it. Beside them,
// another tenant's endpoints fail, never consented, or have a name that does not resolve.
func (w *World) Neighbour(ctx context.Context, o NeighbourOptions) (served Served, err error) {
	at, err := newOrigin("127.0.0.11")
	if err != nil {
		return served, err
	}
	defer at.goAway()
	good, beside := newGroup(ours, "working", 3), newBesides(o.Failing)
	at.set(always(http.StatusInternalServerError), beside.silent.users...)
	at.set(always(hang), beside.mute.users...)
	if err := w.moveIn(ctx, at, good, beside); err != nil {
		return served, err
	}
	at.set(always(http.StatusInternalServerError), beside.failing.users...)
	at.set(always(http.StatusUnauthorized), beside.denied.users...)
	at.set(always(hang), beside.hanging.users...)
	w.deliver(beside.all()...)

	w.tell("neighbour: the origin of %d working endpoints is away for %v", len(good.users), o.Away)
	at.goAway()
	w.deliver(append(beside.all(), good)...)
	var away errgroup.Group
	away.Go(func() error { return rig.Pause(ctx, o.Away) })
	away.Go(func() error {
		served.Shown = w.shownWaiting(ctx, good.users[0], o.Away)
		return nil
	})
	if err := away.Wait(); err != nil {
		return served, err
	}
	if err := at.comeBack(); err != nil {
		return served, err
	}
	first, err := at.firstAnswer(ctx)
	if err != nil {
		return served, err
	}
	err = at.await(ctx, o.Within, 2, good.users)
	switch {
	case ctx.Err() != nil:
		return served, err
	case err != nil:
		served.After = time.Since(first)
	default:
		served.All, served.After = true, at.latest(2, good.users).Sub(first)
	}
	w.tell("neighbour: served %v, %.1f s after the origin's first answer", served.All, served.After.Seconds())
	return served, nil
}

// moveIn subscribes all, and has those that work, or did, accept a first mail.
func (w *World) moveIn(ctx context.Context, at *origin, good *group, beside *besides) error {
	work := []*group{good, beside.failing, beside.denied, beside.hanging}
	for _, g := range append(work, beside.silent, beside.mute) {
		if err := w.subscribe(ctx, rig.StoreName, g, at.url); err != nil {
			return err
		}
	}
	if err := w.subscribeUnresolved(ctx, at, beside.unresolved); err != nil {
		return err
	}
	w.deliver(work...)
	for _, g := range work {
		if err := at.await(ctx, settle, 1, g.users); err != nil {
			return err
		}
	}
	return nil
}

// subscribeUnresolved subscribes endpoints whose names do not resolve: one that is the
// origin's by the look of it, with a dot behind its address, and one apart. It is as well
// if a URL is refused.
func (w *World) subscribeUnresolved(ctx context.Context, at *origin, g *group) error {
	host, port, _ := strings.Cut(at.address, ":")
	for n, name := range []string{host + ".", "no-such-host.invalid"} {
		user := g.users[n]
		_, err := w.subscribeOne(ctx, g.request(rig.StoreName, user, "http://"+name+":"+port+"/"+user))
		if connect.CodeOf(err) == connect.CodeInvalidArgument {
			w.tell("neighbour: %q is refused: %v", name, err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shownWaiting tells whether a subscription with mail that is pending comes to be shown as
// something else than active.
func (w *World) shownWaiting(ctx context.Context, user string, within time.Duration) bool {
	g := &group{tenant: ours, users: []string{user}}
	err := await(ctx, "the state of "+user, within, func(ctx context.Context) error {
		found, err := w.listed(ctx, g)
		switch {
		case err != nil:
			return err
		case len(found[user]) != 1:
			return fmt.Errorf("%d subscriptions are listed", len(found[user]))
		case found[user][0].GetState() == adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE:
			return fmt.Errorf("with a lag of %d it is shown as active", found[user][0].GetLag())
		}
		w.tell("neighbour: %s is shown as %s", user, found[user][0].GetState())
		return nil
	})
	return err == nil
}

// firstAnswer asks the origin until it answers, and returns when that was.
func (o *origin) firstAnswer(ctx context.Context) (time.Time, error) {
	err := await(ctx, "the origin's answer", settle, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url("first-answer"), http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close() // it has been read
		return err
	})
	return time.Now(), err
}

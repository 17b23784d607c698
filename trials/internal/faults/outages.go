// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// outage is how long all of etcd is away.
const outage = 30 * time.Second

func silence(ctx context.Context, w *World, direction Direction) error {
	victim := w.victim()
	before := len(victim.registered())
	for _, proxy := range victim.proxies {
		proxy.Silence(direction)
	}
	id := victim.id()
	err := errors.Join(
		w.until(ctx, "others to take over", func() error { return w.covered(w.others(victim)...) }),
		// All it knows is that nobody answers.
		w.until(ctx, "the end of what it held", func() error {
			if held := w.held()[id]; held > 0 {
				return fmt.Errorf("%s takes itself for the holder of %d shards", id, held)
			}
			return nil
		}),
	)
	w.mailOnce()
	err = errors.Join(err, w.until(ctx, "pushes by others", w.pushed))
	victim.heal()
	return errors.Join(err, w.rejoined(ctx, victim, before))
}

const (
	slowness = 200 * time.Millisecond // each way
	cuts     = 4
)

// slowWay makes a worker's way to etcd bad, but not so bad that it loses its lease: it
// must stay the member that it is.
func slowWay(ctx context.Context, w *World) error {
	victim := w.victim()
	id := victim.id()
	for _, proxy := range victim.proxies {
		proxy.Delay(ToServer, slowness)
		proxy.Delay(ToClient, slowness)
	}
	for n := range cuts {
		w.mail()
		if err := w.rest(ctx, ttl/2); err != nil {
			return err
		}
		for _, proxy := range victim.proxies {
			proxy.Cut(Direction(n % 2))
		}
	}
	err := w.settle(ctx)
	victim.heal()
	if err == nil && victim.id() != id {
		err = fmt.Errorf("%s was %s and is %s", victim.Name(), id, victim.id())
	}
	return err
}

// allAway kills all of etcd. Mail must go on being pushed meanwhile, and no listener
// may be connected anew, neither then nor when etcd is back.
func allAway(ctx context.Context, w *World) error {
	_, before := w.store.Seen()
	var ids []string
	for _, n := range w.workers {
		ids = append(ids, n.id())
	}
	for _, m := range w.etcd {
		m.Kill()
	}
	for end := time.Now().Add(outage); time.Now().Before(end); {
		w.mail()
		if err := w.until(ctx, "pushes without etcd", w.pushed); err != nil {
			return err
		}
		if err := w.rest(ctx, time.Second); err != nil {
			return err
		}
	}
	for _, m := range w.etcd {
		if err := w.startMember(m); err != nil {
			return err
		}
	}
	w.mail()
	if err := w.settle(ctx); err != nil {
		return err
	}
	if _, after := w.store.Seen(); after != before {
		return fmt.Errorf("%d listeners were connected anew", after-before)
	}
	for i, n := range w.workers {
		if n.id() != ids[i] {
			return fmt.Errorf("%s was %s and is %s", n.Name(), ids[i], n.id())
		}
	}
	return nil
}

// rest lets time pass: an outage has a length.
func (w *World) rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

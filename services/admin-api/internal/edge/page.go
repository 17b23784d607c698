// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// attempts is how often a request is begun: another time for each that overtakes it.
const attempts = 4

// subscribe does what some requests ask for, no two of one user.
//
// No lock of a user is held meanwhile, for a mail store may take its time, and other
// devices have logins of their own to bring: whoever commits last has been overtaken, and
// begins anew. Devices are locked in one order, so that of two pages neither waits for the
// other while that waits for it.
func (e *Edge) subscribe(ctx context.Context, items []*item) {
	pending := slices.Clone(items)
	for _, a := range pending {
		a.kind, a.Err = e.check(a.Request)
	}
	pending = slices.DeleteFunc(pending, func(a *item) bool { return a.Err != nil })
	devices := make([]device, len(pending))
	for i, a := range pending {
		devices[i] = device{a.User, a.Client, a.Device}
	}
	slices.SortFunc(devices, device.compare)
	unlock, err := e.devices.lockAll(ctx, devices)
	if err != nil {
		for _, a := range pending {
			a.Err = err
		}
		return
	}
	defer unlock()
	for range attempts {
		if len(pending) == 0 {
			return
		}
		e.enrol(ctx, pending)
		pending = slices.DeleteFunc(pending, func(a *item) bool { return !errors.Is(a.Err, registry.ErrOvertaken) })
	}
}

// enrol is one attempt at some requests. Its order is the one in which a failure costs least:
// what is to be sealed, which the mail store needs; the mail store; the registry.
func (e *Edge) enrol(ctx context.Context, items []*item) {
	p := page{Edge: e}
	p.begin(ctx, items)
	p.seal(ctx)
	p.open(ctx)
	p.store(ctx)
	p.giveUp(ctx)
	p.tell(ctx)
	for _, n := range p.all {
		n.Outcome = n.answer()
	}
}

// page is one attempt at some requests, which go through each step together. What fails
// stays where it is, with its error.
type page struct {
	*Edge

	all []*enrolment
}

// going are those that have not failed.
func (p *page) going() []*enrolment {
	return slices.DeleteFunc(slices.Clone(p.all), func(n *enrolment) bool { return n.err != nil })
}

// fail ends some of them.
func fail(list []*enrolment, err error) {
	for _, n := range list {
		n.err = err
	}
}

// begin reads what is there, and plans what is to become of it.
func (p *page) begin(ctx context.Context, items []*item) {
	users := make([]registry.UserID, len(items))
	for i, a := range items {
		users[i] = a.User
	}
	found, err := p.Store.Registered(ctx, users)
	for _, a := range items {
		n := p.enrolment(a, found[a.User])
		switch {
		case err != nil:
			n.err = err
		case n.err == nil:
			n.err = n.plan(ctx)
		}
		p.all = append(p.all, n)
	}
}

// seal seals what all of them bring, together. When the vault finds fault with one, each has
// its own try.
func (p *page) seal(ctx context.Context) {
	list := slices.DeleteFunc(p.going(), func(n *enrolment) bool { return len(n.seals) == 0 })
	if len(list) == 0 {
		return
	}
	if err := p.Store.Reserve(ctx, accountsOf(sealsOf(list)), time.Now().Add(reserveTime)); err != nil {
		fail(list, err)
		return
	}
	err := p.fill(ctx, list)
	kind := fault.KindOf(err)
	switch {
	case err == nil:
	case len(list) > 1 && (kind == fault.Invalid || kind == fault.Precondition):
		for _, n := range list {
			if err := p.fill(ctx, []*enrolment{n}); err != nil {
				n.err = n.sealFailed(err)
			}
		}
	default:
		for _, n := range list {
			n.err = n.sealFailed(err)
		}
	}
}

// fill fills the seats of some of them.
func (p *page) fill(ctx context.Context, list []*enrolment) error {
	seals := sealsOf(list)
	fills := make([]Sealing, len(seals))
	for i, s := range seals {
		fills[i] = s.Sealing
	}
	versions, err := p.Vault.Seal(ctx, fills)
	if err != nil {
		return err
	}
	for i, s := range seals {
		s.took(versions[i])
	}
	for _, n := range list {
		n.sealed = true
	}
	return nil
}

func sealsOf(list []*enrolment) []sealing {
	var all []sealing
	for _, n := range list {
		all = append(all, n.seals...)
	}
	return all
}

// store has the registry take them, in one transaction.
func (p *page) store(ctx context.Context) {
	list := p.going()
	if len(list) == 0 {
		return
	}
	done := make([]registry.Enrolment, len(list))
	for i, n := range list {
		done[i] = n.done()
	}
	errs, err := p.Store.Subscribe(ctx, done)
	if err != nil {
		fail(list, err)
		return
	}
	for i, n := range list {
		n.err = errs[i]
	}
}

// giveUp erases what was sealed for those that have failed.
func (p *page) giveUp(ctx context.Context) {
	var vain []registry.Erasure
	for _, n := range p.all {
		if n.err != nil {
			vain = append(vain, n.accounts()...)
		}
	}
	if len(vain) > 0 {
		p.Edge.giveUp(ctx, vain...)
	}
}

// tellAtOnce is how many owners are told side by side: etcd makes many changes durable in
// about the time of one.
const tellAtOnce = 32

// tell tells the owners of the shards that have changed, each once.
func (p *page) tell(ctx context.Context) {
	touched := make(map[registry.Shard]bool)
	for _, n := range p.going() {
		for at := range p.shardsOf(n.User, n.before.Store, n.after.Store) {
			touched[at] = true
		}
	}
	var calls errgroup.Group
	calls.SetLimit(tellAtOnce)
	for at := range touched {
		calls.Go(func() error {
			p.Edge.tell(ctx, at)
			return nil
		})
	}
	_ = calls.Wait() // nobody returns an error
}

// shardsOf are the user's shards under the backends of some mail stores.
func (e *Edge) shardsOf(user registry.UserID, stores ...string) iter.Seq[registry.Shard] {
	return func(yield func(registry.Shard) bool) {
		for _, s := range stores {
			if backend := e.Policy.Stores[s]; backend != "" && !yield(registry.Shard{Backend: backend, Number: registry.ShardOf(user, e.Shards)}) {
				return
			}
		}
	}
}

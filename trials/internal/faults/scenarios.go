// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// takeOver is how long a shard may be without a holder whose lease has to end, and
	// handOver one that moves in order: most of both is what a busy machine may take.
	takeOver = ttl + handOver
	handOver = 20 * time.Second
	// deaf is how long a connection is used from which nothing comes any more. Renewals
	// sent on it keep the lease, while the right to act has ended with the last answer.
	deaf = 11 * time.Second
)

// Scenario is one thing that goes wrong, and its mending. It returns when it has been
// noticed and mended; Run waits for the cluster to settle after it.
type Scenario struct {
	Name  string
	bound time.Duration // no shard may be without a holder for longer
	run   func(ctx context.Context, w *World) error
}

// Scenarios are all there are, each of which leaves as many processes as it found.
func Scenarios() []Scenario {
	return []Scenario{
		{"a worker is killed", takeOver, killWorker},
		{"the leading scheduler is killed", takeOver, killLeader},
		{"an etcd member is killed", takeOver, killMember},
		{"a worker stands still for longer than its lease", takeOver, pauseWorker},
		{"the leading scheduler stands still for longer than its lease", takeOver, pauseLeader},
		{"a worker is not heard by etcd", takeOver, func(ctx context.Context, w *World) error { return silence(ctx, w, ToServer) }},
		{"a worker does not hear etcd", takeOver + deaf, func(ctx context.Context, w *World) error { return silence(ctx, w, ToClient) }},
		{"a worker's way to etcd is slow, and cut again and again", handOver, slowWay},
		{"all of etcd is away for 30 s", outage + takeOver, allAway},
		{"all workers are restarted one by one", handOver, rollingRestart},
		{"workers join one by one", handOver, joins},
	}
}

// Run runs a scenario and returns when every shard is held, every listener is in IDLE
// and every mail was pushed.
func (w *World) Run(ctx context.Context, s Scenario) error {
	began := time.Now()
	w.history.Stage(s.Name, s.bound)
	w.once = nil
	w.faults++
	w.mail()
	if err := s.run(ctx, w); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	w.mail()
	if err := w.settle(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	for _, uid := range w.once {
		if n := w.receiver.Doubled(uid, uid); n > 0 {
			return fmt.Errorf("%s: a mail that came after the take-over was pushed %d times more than once", s.Name, n)
		}
	}
	fmt.Fprintf(w.out, "  %s: %.1f s\n", s.Name, time.Since(began).Seconds())
	return nil
}

// mail lets one arrive in every mailbox.
func (w *World) mail() { w.mails = w.store.Deliver() }

// mailOnce lets one arrive when it is clear who pushes it: nobody else may.
func (w *World) mailOnce() {
	w.mail()
	w.once = append(w.once, w.mails)
}

// until repeats check until it returns nil.
func (w *World) until(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// settle waits until each shard is held by one of the workers that run, each listener
// is in IDLE, and each mail was pushed to each mailbox.
func (w *World) settle(ctx context.Context) error {
	return w.until(ctx, "a settled cluster", func() error {
		if err := w.covered(w.workers...); err != nil {
			return err
		}
		if idle := w.store.Idle(); idle != mailboxes {
			return fmt.Errorf("%d of %d listeners are in IDLE", idle, mailboxes)
		}
		return w.pushed()
	})
}

// pushed tells whether every mail was pushed to every mailbox.
func (w *World) pushed() error {
	if missing := w.receiver.Missing(mailboxes, 1, w.mails); missing > 0 {
		return fmt.Errorf("%d pushes are missing", missing)
	}
	return nil
}

// covered tells whether each shard is held by one of some workers.
func (w *World) covered(by ...*worker) error {
	var ids []string
	for _, n := range by {
		ids = append(ids, n.id())
	}
	held := w.history.Holders()
	for shard := range uint32(shards) {
		// Others may seem to hold it: one that stands still has had no chance to say
		// that it does not.
		if !slices.ContainsFunc(held[shard], func(id string) bool { return slices.Contains(ids, id) }) {
			return fmt.Errorf("shard %d is held by %v", shard, held[shard])
		}
	}
	return nil
}

// others are all workers but one.
func (w *World) others(victim *worker) []*worker {
	return slices.DeleteFunc(slices.Clone(w.workers), func(n *worker) bool { return n == victim })
}

// bury forgets a worker that has ended.
func (w *World) bury(victim *worker) error {
	died := time.Now()
	for _, id := range victim.registered() {
		w.history.Died(id, died)
	}
	w.workers = w.others(victim)
	return victim.closeProxies()
}

func killWorker(ctx context.Context, w *World) error {
	victim := w.victim()
	victim.Kill()
	if err := w.bury(victim); err != nil {
		return err
	}
	w.mail()
	if err := w.settle(ctx); err != nil {
		return err
	}
	return w.addWorker(ctx)
}

// leader returns the scheduler that leads.
func (w *World) leader(ctx context.Context) (*node, error) {
	var found *node
	err := w.until(ctx, "a leader", func() error {
		name, err := w.client.Leader(ctx)
		if err != nil {
			return err
		}
		for _, p := range w.schedulers {
			if p.Name() == name {
				found = p
				return nil
			}
		}
		return fmt.Errorf("%q leads, which is none of ours", name)
	})
	return found, err
}

// succeeded waits until another scheduler leads.
func (w *World) succeeded(ctx context.Context, victim *node) error {
	return w.until(ctx, "another leader", func() error {
		name, err := w.client.Leader(ctx)
		if err == nil && (name == victim.Name() || name == "") {
			err = fmt.Errorf("%q leads", name)
		}
		return err
	})
}

func killLeader(ctx context.Context, w *World) error {
	victim, err := w.leader(ctx)
	if err != nil {
		return err
	}
	victim.Kill()
	w.schedulers = slices.DeleteFunc(w.schedulers, func(n *node) bool { return n == victim })
	// Its successor is needed: a worker goes, too.
	if err := errors.Join(victim.closeProxies(), killWorker(ctx, w)); err != nil {
		return err
	}
	return w.addScheduler(ctx)
}

func killMember(ctx context.Context, w *World) error {
	victim := w.etcd[0]
	w.etcd = append(w.etcd[1:], victim) // another one the next time
	victim.Kill()
	// The two that are left serve a change of the plan.
	if err := killWorker(ctx, w); err != nil {
		return err
	}
	return w.startMember(victim)
}

func pauseWorker(ctx context.Context, w *World) error {
	victim := w.victim()
	before := len(victim.registered())
	if err := victim.Pause(); err != nil {
		return err
	}
	err := w.until(ctx, "others to take over", func() error { return w.covered(w.others(victim)...) })
	w.mailOnce()
	w.history.StoodStill(victim.id(), time.Now())
	return errors.Join(err, victim.Resume(), w.rejoined(ctx, victim, before))
}

// rejoined waits until a worker that was taken over is registered anew.
func (w *World) rejoined(ctx context.Context, victim *worker, before int) error {
	return w.until(ctx, "a fresh registration", func() error {
		if len(victim.registered()) <= before {
			return fmt.Errorf("%s is still %s", victim.Name(), victim.id())
		}
		return nil
	})
}

// pauseLeader has a leader stand still while a change of the plan, which it has sent, is
// on its way. What the change was for is gone by then, and its successor has changed
// nothing: all that speaks against the change when it arrives is who made it.
func pauseLeader(ctx context.Context, w *World) error {
	victim, err := w.leader(ctx)
	if err != nil {
		return err
	}
	if err := w.catchChange(ctx, victim); err != nil {
		return err
	}
	if err := victim.Pause(); err != nil {
		return err
	}
	err = w.succeeded(ctx, victim)
	victim.heal()
	if err == nil {
		err = killWorker(ctx, w)
	}
	// It wakes up in the belief that it leads.
	return errors.Join(err, victim.Resume())
}

// catchChange has a worker join, keeps the change that gives it its share on its way,
// and has the worker go again.
func (w *World) catchChange(ctx context.Context, leader *node) error {
	var plans []string
	for _, n := range w.workers {
		plans = append(plans, "/want/"+n.id())
	}
	caught := make([]<-chan struct{}, len(leader.proxies))
	for i, proxy := range leader.proxies {
		caught[i] = proxy.Catch(ToServer, plans...)
	}
	if err := w.addWorker(ctx); err != nil {
		return err
	}
	newcomer := w.workers[len(w.workers)-1]
	if err := w.until(ctx, "a change of the plan", func() error {
		for _, one := range caught {
			select {
			case <-one:
				return nil
			default:
			}
		}
		return errors.New("there was none")
	}); err != nil {
		return err
	}
	newcomer.Kill()
	if err := w.bury(newcomer); err != nil {
		return err
	}
	return w.until(ctx, "the end of a registration", func() error {
		snapshot, err := w.client.Snapshot(ctx)
		if err != nil {
			return err
		}
		for _, entry := range snapshot.Entries {
			if entry.ID == newcomer.id() && entry.Worker != nil {
				return fmt.Errorf("%s is registered", entry.ID)
			}
		}
		return nil
	})
}

func rollingRestart(ctx context.Context, w *World) error {
	for _, victim := range slices.Clone(w.workers) {
		if err := w.addWorker(ctx); err != nil {
			return err
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
		w.mail()
		if err := victim.Stop(); err != nil {
			return err
		}
		if err := w.bury(victim); err != nil {
			return err
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

func joins(ctx context.Context, w *World) error {
	for range 2 {
		if err := w.addWorker(ctx); err != nil {
			return err
		}
		w.mail()
		if err := w.until(ctx, "shards for the newcomer", func() error { return w.shares(w.workers[len(w.workers)-1]) }); err != nil {
			return err
		}
	}
	for range 2 {
		victim := w.victim()
		if err := victim.Stop(); err != nil {
			return err
		}
		if err := w.bury(victim); err != nil {
			return err
		}
	}
	return nil
}

// shares tells whether a worker holds anything.
func (w *World) shares(n *worker) error {
	if w.held()[n.id()] == 0 {
		return fmt.Errorf("%s holds nothing", n.Name())
	}
	return nil
}

// held counts what each worker holds, by its id.
func (w *World) held() map[string]int {
	held := make(map[string]int)
	for _, ids := range w.history.Holders() {
		for _, id := range ids {
			held[id]++
		}
	}
	return held
}

// victim is the worker that holds most. One that lost its lease lately gets little.
func (w *World) victim() *worker {
	held := w.held()
	return slices.MaxFunc(w.workers, func(a, b *worker) int { return cmp.Compare(held[a.id()], held[b.id()]) })
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// worker is a member of the cluster that decides like a real one, and has nothing to
// listen to: every reading of mailboxes succeeds, and every drain ends, at once.
type worker struct {
	member *cluster.Member
	epochs *atomic.Uint64 // the highest opened by anybody, as the registry keeps it
	posts  chan hold.Event
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func startWorker(ctx context.Context, client *cluster.Client, address string, capacity uint32, epochs *atomic.Uint64) (*worker, error) {
	member, err := client.Join(ctx, &clusterv1.Worker{Address: address, Backends: []string{backend}, Capacity: capacity})
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	w := &worker{member: member, epochs: epochs, posts: make(chan hold.Event)}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	w.ended.Go(func() { w.run(life) })
	return w, nil
}

// stop ends the worker's goroutines, and its registration with them.
func (w *worker) stop(ctx context.Context) {
	w.cancel()
	w.ended.Wait()
	_ = w.member.Leave(ctx) // the lease runs out all the same
}

func (w *worker) run(ctx context.Context) {
	machine := hold.New(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	wants, due := w.member.Wants(ctx), time.NewTimer(time.Hour)
	defer due.Stop()
	step := func(event hold.Event) {
		for queue := []hold.Event{event}; len(queue) > 0; queue = queue[1:] {
			for _, effect := range machine.Step(queue[0], time.Now()) {
				if answer := w.carryOut(ctx, effect); answer != nil {
					queue = append(queue, answer)
				}
			}
		}
		if next := machine.Next(); !next.IsZero() {
			due.Reset(time.Until(next))
		}
	}
	for {
		select {
		case <-ctx.Done():
			for range wants { // until the watch has ended
			}
			return
		case want, open := <-wants:
			if !open {
				return
			}
			step(hold.Wanted{Want: want})
		case event := <-w.posts:
			step(event)
		case <-w.member.RightChanged():
			step(hold.Righted{Right: w.member.Right()})
		case <-due.C:
			step(hold.Tick{})
		}
	}
}

// carryOut does what the machine has decided, and returns the answer if it is there
// at once.
func (w *worker) carryOut(ctx context.Context, effect hold.Effect) hold.Event {
	switch effect := effect.(type) {
	case hold.Read:
		for _, claim := range effect.Claims {
			for highest := w.epochs.Load(); claim.Epoch > highest && !w.epochs.CompareAndSwap(highest, claim.Epoch); {
				highest = w.epochs.Load()
			}
		}
		return hold.Loaded{Read: effect}
	case hold.Release:
		return hold.Drained(effect)
	case hold.Report:
		w.ended.Go(func() {
			err := w.member.Report(ctx, effect.Have)
			select {
			case w.posts <- hold.Reported{Have: effect.Have, Failed: err != nil}:
			case <-ctx.Done():
			}
		})
	default: // nothing is listened to
	}
	return nil
}

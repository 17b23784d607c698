// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mailpush.internal/trials/internal/crowd"
	"mailpush.internal/trials/internal/rig"
)

// cost is the processor time of a worker for each of so many things.
type cost struct {
	things int
	cpu    time.Duration // in all
}

func (c cost) each() time.Duration {
	if c.things == 0 {
		return 0
	}
	return c.cpu / time.Duration(c.things)
}

// perSecond is how many things one core does in a second.
func (c cost) perSecond() float64 {
	if c.cpu <= 0 {
		return 0
	}
	return float64(c.things) / c.cpu.Seconds()
}

// point is what is there with so many listeners.
type point struct {
	listeners        int
	resident, kernel int64 // bytes
	goroutines       int
}

// slope is what each listener adds from one point to another: what a process costs
// whatever it holds is not in it.
type slope struct {
	bytes, kernelBytes int64
	goroutines         float64
}

func slopeOf(few, many point) slope {
	n := int64(many.listeners - few.listeners)
	if n <= 0 {
		return slope{}
	}
	return slope{
		bytes: (many.resident - few.resident) / n,
		// The mail store's ends of the connections are on the same machine, and cost as much.
		kernelBytes: (many.kernel - few.kernel) / n / 2,
		goroutines:  float64(many.goroutines-few.goroutines) / float64(n),
	}
}

// lab is a crowd under measurement.
type lab struct {
	*crowd.Crowd
	out      io.Writer
	plan     plan
	idleLoad float64 // processors that the worker uses while nothing happens
}

// measureListeners holds thousands of listeners, measures what they cost at rest and at
// work, takes their worker away, and measures stock clients at the same mail store.
func measureListeners(ctx context.Context, out io.Writer, programs rig.Programs, p plan, f *figures) (err error) {
	c, err := crowd.New(ctx, crowd.Options{Programs: programs, Out: out, ConnectsPerSecond: p.pace, Refresh: refreshEvery})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	l := &lab{Crowd: c, out: out, plan: p}
	f.pace = p.pace
	for _, step := range []struct {
		title string
		do    func(context.Context, *figures) error
	}{
		{fmt.Sprintf("holding %d idle TLS listeners", p.listeners), l.memory},
		{"waking them up", l.work},
		{"taking them over", l.storms},
		{"renewing IDLE", l.refresh},
		{"holding stock clients", l.peers},
	} {
		fmt.Fprintf(out, "bench: %s\n", step.title)
		if err := step.do(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

// memory measures what a listener costs at rest.
func (l *lab) memory(ctx context.Context, f *figures) error {
	var err error
	if f.half, err = l.hold(ctx, l.plan.listeners/2); err != nil {
		return err
	}
	f.full, err = l.hold(ctx, l.plan.listeners)
	return err
}

// hold adds listeners until there are n, and measures what is there when nothing happens.
func (l *lab) hold(ctx context.Context, n int) (point, error) {
	if err := l.Subscribe(ctx, n); err != nil {
		return point{}, err
	}
	if err := rig.Pause(ctx, settled); err != nil {
		return point{}, err
	}
	begun := time.Now()
	before, err := rig.CPU(l.Worker)
	if err != nil {
		return point{}, err
	}
	p, err := l.point(ctx)
	if err != nil {
		return p, err
	}
	after, err := rig.CPU(l.Worker)
	l.idleLoad = (after - before).Seconds() / time.Since(begun).Seconds()
	return p, err
}

// point measures what is there now.
func (l *lab) point(ctx context.Context) (point, error) {
	p := point{listeners: l.Listeners()}
	var err error
	if p.resident, err = rig.Resident(ctx, l.Worker); err != nil {
		return p, err
	}
	if p.kernel, err = rig.Kernel(); err != nil {
		return p, err
	}
	p.goroutines, err = l.Goroutines(ctx)
	return p, err
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailpush.internal/trials/internal/rig"
)

const (
	// stormLook is how often the mail store's counts are read.
	stormLook = 50 * time.Millisecond
	// stormPatience is when a worker counts as never replaced.
	stormPatience = 5 * time.Minute
)

// storm is a take-over: a worker is killed, and another takes all its listeners.
type storm struct {
	logins  cost
	resumed int           // handshakes that resumed a session
	took    time.Duration // first login -> all listeners in IDLE
	dark    time.Duration // kill -9 -> the same
	busiest int           // logins in the busiest second
	peak    int64         // resident bytes of the worker that takes over
}

// perSecond is the mean of the logins from the first on.
func (s storm) perSecond() float64 {
	if s.took <= 0 {
		return 0
	}
	return float64(s.logins.things) / s.took.Seconds()
}

// storms has all listeners taken over with full handshakes, and then by resuming sessions.
func (l *lab) storms(ctx context.Context, f *figures) error {
	var err error
	if f.cold, err = l.storm(ctx); err != nil {
		return err
	}
	if err := l.Double.GiveTickets(true); err != nil {
		return err
	}
	if f.resumed, err = l.storm(ctx); err != nil {
		return err
	}
	return l.Double.GiveTickets(false)
}

// storm kills the worker and starts another.
func (l *lab) storm(ctx context.Context) (storm, error) {
	before, err := l.Double.Counts()
	if err != nil {
		return storm{}, err
	}
	killed := time.Now()
	l.Worker.Kill()
	if err := l.StartWorker(); err != nil {
		return storm{}, err
	}
	if err := l.Await(ctx, "the new worker", rig.Ready(l.Mailpush.WorkerOps())); err != nil {
		return storm{}, err
	}
	idle, err := rig.CPU(l.Worker)
	if err != nil {
		return storm{}, err
	}
	var w watch
	if err := l.watchStorm(ctx, before.Logins, before.Arrived+l.Listeners(), &w); err != nil {
		return storm{}, err
	}
	cpu, err := rig.CPU(l.Worker)
	if err != nil {
		return storm{}, err
	}
	after, err := l.Double.Counts()
	if err != nil {
		return storm{}, err
	}
	s := storm{
		logins:  cost{after.Logins - before.Logins, cpu - idle},
		resumed: after.Resumed - before.Resumed,
		took:    w.took(), dark: time.Since(killed), busiest: w.busiest(time.Second),
	}
	s.peak, err = rig.PeakResident(l.Worker)
	fmt.Fprintf(l.out, "  %d logins in %.1f s\n", s.logins.things, s.took.Seconds())
	return s, err
}

// watchStorm notes the logins until as many listeners have reached IDLE as there should be.
func (l *lab) watchStorm(ctx context.Context, logins, arrived int, w *watch) error {
	ctx, cancel := context.WithTimeout(ctx, stormPatience)
	defer cancel()
	tick := time.NewTicker(stormLook)
	defer tick.Stop()
	for {
		counts, err := l.Double.Counts()
		if err != nil {
			return err
		}
		w.note(time.Now(), counts.Logins-logins)
		if counts.Arrived >= arrived && counts.Idle == l.Listeners() {
			return nil
		}
		select {
		case <-tick.C:
		case <-l.Worker.Ended():
			return errors.Join(errors.New("the worker has ended"), l.Worker.Err())
		case <-ctx.Done():
			return fmt.Errorf("%d of %d listeners are in IDLE: %w", counts.Idle, l.Listeners(), ctx.Err())
		}
	}
}

// watch is how a count grew.
type watch struct{ looks []look }

type look struct {
	at    time.Time
	count int
}

func (w *watch) note(at time.Time, count int) { w.looks = append(w.looks, look{at, count}) }

// took is the time from the last look before the count grew to the last one.
func (w *watch) took() time.Duration {
	for n, later := range w.looks {
		if n > 0 && later.count > w.looks[n-1].count {
			return w.looks[len(w.looks)-1].at.Sub(w.looks[n-1].at)
		}
	}
	return 0
}

// busiest is the most that the count grew in any while so long, as far as the looks tell.
func (w *watch) busiest(within time.Duration) int {
	most, from := 0, 0
	for _, to := range w.looks {
		for to.at.Sub(w.looks[from].at) > within {
			from++
		}
		most = max(most, to.count-w.looks[from].count)
	}
	return most
}

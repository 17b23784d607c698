// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/trials/internal/crowd"
	"mailpush.internal/trials/internal/rig"
)

const (
	stillHere = "* OK Still here\r\n"

	// warmPace is how many mails a second the listeners get before the clock starts.
	warmPace = 300
	// grace is how long the last mails may take to be pushed.
	grace = time.Minute
	// growthAtMost is by what factor memory may grow.
	growthAtMost = 1.05
	// reconnectsAtMost is which part of the listeners may have to log in again: connections
	// that end for no reason are missed for a while, whatever is made up for later.
	reconnectsAtMost = 0.01
	// window is how much of the beginning and of the end counts for that; it is less when
	// there are no four of them.
	window = 2 * time.Minute
)

// soaking is a soak as it runs.
type soaking struct {
	*crowd.Crowd
	out  io.Writer
	plan plan

	mails  []uint32 // that each mailbox got; of the one goroutine that delivers
	next   int      // the mailbox whose turn it is
	sent   int      // mails in all
	before imaptest.ManyCounts
	memory track
}

// warmUp gives each listener a mail and all of them a word, so that what they keep for
// good from then on is not taken for growth.
func (s *soaking) warmUp(ctx context.Context) error {
	fmt.Fprintln(s.out, "soak-parked: a first mail for each")
	if err := s.deliver(rig.Mailing{Boxes: s.plan.listeners, PerSecond: warmPace}); err != nil {
		return err
	}
	if err := s.AwaitPushes(ctx, s.sent); err != nil {
		return err
	}
	if _, err := s.Double.Say(stillHere); err != nil {
		return err
	}
	var err error
	s.before, err = s.Double.Counts()
	return err
}

// run delivers mail, speaks to all listeners and watches until the time is over.
func (s *soaking) run(ctx context.Context) error {
	s.memory.begun = time.Now()
	end := s.memory.begun.Add(s.plan.length)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return every(ctx, time.Second, end, s.deliverSome)
	})
	group.Go(func() error {
		return every(ctx, s.plan.still, end, func() error {
			_, err := s.Double.Say(stillHere)
			return err
		})
	})
	group.Go(func() error { return s.observe(ctx, end) })
	return group.Wait()
}

// deliverSome delivers the mails of a second within half of one, to one mailbox after the
// other.
func (s *soaking) deliverSome() error {
	for left := s.plan.mails; left > 0; {
		mailing := rig.Mailing{First: s.next, Boxes: min(left, s.plan.listeners-s.next), PerSecond: 2 * s.plan.mails}
		if err := s.deliver(mailing); err != nil {
			return err
		}
		left -= mailing.Boxes
		s.next = (s.next + mailing.Boxes) % s.plan.listeners
	}
	return nil
}

func (s *soaking) deliver(mailing rig.Mailing) error {
	if err := s.Double.Deliver(mailing); err != nil {
		return err
	}
	for box := mailing.First; box < mailing.First+mailing.Boxes; box++ {
		s.mails[box]++
	}
	s.sent += mailing.Boxes
	return nil
}

// observe reads the worker's memory each second and tells of it each minute.
func (s *soaking) observe(ctx context.Context, end time.Time) error {
	told := s.memory.begun
	return every(ctx, time.Second, end, func() error {
		select {
		case <-s.Worker.Ended():
			return errors.Join(errors.New("the worker has ended"), s.Worker.Err())
		default:
		}
		resident, err := rig.ResidentNow(s.Worker)
		if err != nil {
			return err
		}
		now := time.Now()
		s.memory.note(now, resident)
		if now.Sub(told) < time.Minute {
			return nil
		}
		told = told.Add(time.Minute)
		return s.progress(ctx, now)
	})
}

func (s *soaking) progress(ctx context.Context, now time.Time) error {
	counts, err := s.Double.Counts()
	if err != nil {
		return err
	}
	goroutines, err := s.Goroutines(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  %3.0f min: %d listeners connected, %d reconnects, %d pushes, %.1f MiB resident at least, %d goroutines\n",
		now.Sub(s.memory.begun).Minutes(), counts.Served, s.reconnects(counts), s.Receiver.Events(),
		float64(s.memory.lowest(now.Add(-time.Minute), now))/(1<<20), goroutines)
	return nil
}

// reconnects is how often a listener has logged in again since all were there.
func (s *soaking) reconnects(counts imaptest.ManyCounts) int { return counts.Logins - s.before.Logins }

// judge waits for the last pushes and tells whether everything held.
func (s *soaking) judge(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	late := s.AwaitPushes(waiting, s.sent) // what is missing then is counted
	if err := ctx.Err(); err != nil {
		return err
	}
	counts, err := s.Double.Counts()
	if err != nil {
		return err
	}
	again := s.reconnects(counts)
	lost := s.Receiver.MissingOf(s.mails) + s.plan.listeners - counts.Served
	ratio := s.memory.growth(s.plan.length)
	fmt.Fprintf(s.out, "result: parked_listeners=%d\n", counts.Served)
	fmt.Fprintf(s.out, "result: parked_mails=%d\n", s.sent)
	fmt.Fprintf(s.out, "result: parked_reconnects=%d\n", again)
	fmt.Fprintf(s.out, "result: parked_lost=%d\n", lost)
	fmt.Fprintf(s.out, "result: parked_rss_growth_ratio=%.3f\n", ratio)
	if lost != 0 {
		return errors.Join(fmt.Errorf("%d mails or listeners are lost", lost), late)
	}
	if float64(again) > reconnectsAtMost*float64(s.plan.listeners) {
		return fmt.Errorf("listeners have logged in again %d times", again)
	}
	if ratio == 0 {
		return errors.New("memory was not watched for long enough")
	}
	if ratio > growthAtMost {
		return fmt.Errorf("memory has grown by the factor %.3f, more than %.2f", ratio, growthAtMost)
	}
	return nil
}

// every does something at intervals until the end. What takes longer than an interval is
// done again at once, but not more often than once for each.
func every(ctx context.Context, interval time.Duration, end time.Time, do func() error) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := do(); err != nil {
				return err
			}
		case <-ctx.Done():
			if !time.Now().Before(end) {
				return nil
			}
			return ctx.Err()
		}
	}
}

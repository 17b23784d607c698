// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/services/listener-worker/internal/moment"
)

// storm is some workers that all have mailboxes to open at one mail store.
type storm struct {
	pace  pace
	takes time.Duration // each opening

	mu      sync.Mutex
	began   time.Time
	starts  []time.Duration // since it began
	running int
	most    int // at once
}

func (s *storm) open() {
	s.mu.Lock()
	s.starts = append(s.starts, time.Since(s.began))
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	<-time.After(s.takes)
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
}

// rage has each of the workers open so many mailboxes, and returns when all are open.
func (s *storm) rage(workers, mailboxes int) {
	s.began = time.Now()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			r := newPoolRig(64)
			r.pool.workers = workers
			for range mailboxes {
				r.pool.run(job{store: "store", pace: s.pace, do: s.open})
			}
			ctx, cancel := context.WithCancel(context.Background())
			r.loop.Run(ctx, func(time.Time) time.Time {
				r.pool.start()
				if r.pool.idle() {
					cancel()
				}
				return r.pool.wakeAt
			})
			r.loop.Wait()
		})
	}
	all.Wait()
	slices.Sort(s.starts)
}

// crowd is the most starts within any time of the given length.
func (s *storm) crowd(length time.Duration) int {
	most, first := 0, 0
	for i, at := range s.starts {
		for at-s.starts[first] >= length {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestWorkersShareTheMailStoresPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &storm{pace: pace{perSecond: 100, atOnce: 20}, takes: 50 * time.Millisecond}
		s.rage(10, 500)
		if s.most > 20 {
			t.Errorf("%d connections were being opened at once", s.most)
		}
		if n := s.crowd(10 * time.Second); n > 1150 { // and what was saved: one second's
			t.Errorf("%d connections within 10 s", n)
		}
		if last := s.starts[len(s.starts)-1]; last < 45*time.Second || last > 55*time.Second {
			t.Errorf("5000 connections took %s", last)
		}
		// Workers that knock in step do so by tens, once what was saved is spent.
		s.starts = s.starts[1000:]
		if n := s.crowd(time.Millisecond); n > 6 {
			t.Errorf("%d connections within a millisecond", n)
		}
	})
}

func TestAPaceBelowOneASecondIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &storm{pace: pace{perSecond: 2, atOnce: 1}}
		s.rage(20, 10)
		if last := s.starts[len(s.starts)-1]; last < 85*time.Second || last > 180*time.Second {
			t.Errorf("200 connections took %s", last)
		}
		if n := s.crowd(time.Second); n > 12 {
			t.Errorf("%d connections within a second", n)
		}
	})
}

func TestAFewHundredAreTakenOverAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &storm{pace: paceOf(nil)}
		s.rage(3, 250)
		if last := s.starts[len(s.starts)-1]; last > 0 {
			t.Errorf("the last one waited for %s", last)
		}
	})
}

func TestWhoWaitsLongestGoesFirst(t *testing.T) {
	t.Parallel()
	r := newPoolRig(1)
	release, ran := make(chan struct{}), make(chan int, 100)
	r.pool.run(job{store: "store", do: func() { <-release }})
	now := time.Now()
	for _, n := range rand.Perm(20) {
		r.pool.run(job{store: "store", since: moment.Of(now.Add(time.Duration(n) * time.Second)), do: func() { ran <- n }})
	}
	close(release)
	for want := range 20 {
		if got := until(t, r, ran); got != want {
			t.Fatalf("%d came when it was %d's turn", got, want)
		}
	}
	r.loop.Wait()
}

func TestWorkersAreCountedWhileMailboxesAreOpened(t *testing.T) {
	t.Parallel()
	asked, away := 0, false
	l := New(Config{Workers: func(context.Context) (int, error) {
		if asked++; away {
			return 0, errors.New("nobody answers")
		}
		return 4, nil
	}}, nil, nil)
	l.ctx = t.Context()
	count := func(after time.Duration) {
		l.count(time.Now().Add(after))
		l.loop.Wait()
		l.loop.Drain()
	}
	count(0)
	if asked != 0 {
		t.Error("they were counted although nothing is opened")
	}
	l.connects.waiting++
	count(0)
	count(0)
	if asked != 1 || l.connects.workers != 4 {
		t.Errorf("counted %d times: %d workers", asked, l.connects.workers)
	}
	away = true
	count(time.Hour)
	if asked != 2 || l.connects.workers != 4 {
		t.Errorf("counted %d times: %d workers", asked, l.connects.workers)
	}
}

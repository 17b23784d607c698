// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"slices"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/loop"
)

// poolRig is a pool on a loop that runs while something is waited for.
type poolRig struct {
	pool *pool
	loop *loop.Loop
}

func newPoolRig(total int) *poolRig {
	on := loop.New()
	return &poolRig{newPool(total, on), on}
}

// until runs the loop until something has come.
func until[T any](t *testing.T, r *poolRig, from <-chan T) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	came := false
	r.loop.Run(ctx, func(now time.Time) time.Time {
		select {
		case v = <-from:
			came = true
			cancel()
		default:
		}
		return now.Add(time.Millisecond) // a job that hangs wakes nobody
	})
	if !came {
		t.Fatal("nothing came")
	}
	return v
}

func TestAStoreThatHangsHoldsUpOnlyItself(t *testing.T) {
	t.Parallel()
	r := newPoolRig(4)
	release, started, sound := make(chan struct{}), make(chan struct{}, 100), make(chan int, 100)
	for range 50 {
		r.pool.run(job{store: "hanging", do: func() { started <- struct{}{}; <-release }})
	}
	for i := range 10 {
		r.pool.run(job{store: "sound", do: func() { sound <- i }})
	}
	var order []int
	for range 10 {
		order = append(order, until(t, r, sound))
	}
	slices.Sort(order)
	if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("tasks run: %v", order)
	}
	if n := len(started); n != 2 {
		t.Errorf("%d tasks of the hanging store run, want its half of 4", n)
	}
	close(release)
	for range 50 {
		until(t, r, started)
	}
	r.loop.Wait()
	r.loop.Drain()
	if r.pool.running != 0 || r.pool.waiting != 0 || len(r.pool.stores) != 0 || len(r.pool.turn) != 0 {
		t.Errorf("left: %d running, %d waiting, %d stores, %d turns", r.pool.running, r.pool.waiting, len(r.pool.stores), len(r.pool.turn))
	}
}

func TestStoresTakeTurns(t *testing.T) {
	t.Parallel()
	r := newPoolRig(1)
	release, ran := make(chan struct{}), make(chan string, 100)
	r.pool.run(job{store: "first", do: func() { <-release }})
	for range 3 {
		for _, store := range []string{"a", "b"} {
			r.pool.run(job{store: store, do: func() { ran <- store }})
		}
		r.pool.run(job{store: "a", do: func() { ran <- "a" }})
	}
	close(release)
	var order []string
	for range 9 {
		order = append(order, until(t, r, ran))
	}
	if want := []string{"a", "b", "a", "b", "a", "b", "a", "a", "a"}; !slices.Equal(order, want) {
		t.Errorf("order = %v, want %v", order, want)
	}
	r.loop.Wait()
}

func TestWhatHasNotStartedCanBeWithdrawn(t *testing.T) {
	t.Parallel()
	r := newPoolRig(2)
	release, ran, back := make(chan struct{}), make(chan int, 100), make(chan int, 100)
	for i := range 10 {
		r.pool.run(job{store: "down", do: func() { <-release; ran <- i }, back: func() { back <- i }})
	}
	r.pool.run(job{store: "up", do: func() { ran <- 100 }})
	r.pool.withdraw("down")
	r.pool.withdraw("down")
	r.pool.withdraw("unknown")
	if len(back) != 9 || r.pool.waiting != 0 {
		t.Errorf("%d were withdrawn, %d wait", len(back), r.pool.waiting)
	}
	if got := until(t, r, ran); got != 100 {
		t.Errorf("%d ran", got)
	}
	close(release)
	if got := until(t, r, ran); got != 0 {
		t.Errorf("%d ran", got)
	}
	r.loop.Wait()
	r.loop.Drain()
	if len(ran) != 0 || len(r.pool.turn) != 0 || r.pool.running != 0 || len(r.pool.stores) != 0 {
		t.Errorf("%d more ran; left: %d turns, %d running, %d stores", len(ran), len(r.pool.turn), r.pool.running, len(r.pool.stores))
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// A loop of one goroutine is what a pool expects; the inbox's queue is one here.
type poolRig struct {
	pool  *pool
	inbox *inbox
	tasks sync.WaitGroup
}

func newPoolRig(total int) *poolRig {
	r := &poolRig{inbox: newInbox()}
	r.pool = newPool(total, &r.tasks, r.inbox.post)
	return r
}

// until runs the loop until something has come.
func until[T any](t *testing.T, r *poolRig, from <-chan T) T {
	t.Helper()
	giveUp := time.After(20 * time.Second)
	for {
		select {
		case v := <-from:
			return v
		case <-r.inbox.wake:
			r.inbox.drain()
		case <-giveUp:
			t.Fatal("nothing came")
		}
	}
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
	r.tasks.Wait()
	r.inbox.drain()
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
	r.tasks.Wait()
}

func TestTimersFireInOrderAndCanBeMoved(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var all timers
	entries := make([]*running, 5)
	for i := range entries {
		entries[i] = &running{timerIndex: -1}
		all.set(entries[i], now.Add(time.Duration(5-i)*time.Second))
	}
	all.set(entries[0], now.Add(500*time.Millisecond)) // was the last
	all.set(entries[2], time.Time{})
	all.set(entries[2], time.Time{}) // twice is no harm
	want := []*running{entries[0], entries[4], entries[3]}
	for _, entry := range want {
		if got := all.due(now.Add(3 * time.Second)); got != entry {
			t.Fatalf("due = %p, want %p", got, entry)
		}
	}
	if got := all.due(now.Add(3 * time.Second)); got != nil || len(all) != 1 {
		t.Errorf("due = %v, %d left", got, len(all))
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"sync"
)

// locks serialise calls about the same thing within this process, and no others: one that
// waits for a mail store must not hold up whoever it has nothing to do with. They only keep
// calls out of each other's way: between replicas the database decides.
type locks[K comparable] struct {
	mu    sync.Mutex
	turns map[K]*turn // of what somebody holds or waits for
}

// turn is who goes next: a full channel is held.
type turn struct {
	held chan struct{}
	want int // those who hold it or wait for it; guarded by the mutex of the locks
}

func newLocks[K comparable]() *locks[K] { return &locks[K]{turns: make(map[K]*turn)} }

func (l *locks[K]) lock(ctx context.Context, key K) (unlock func(), err error) {
	t := l.enter(key)
	select {
	case t.held <- struct{}{}:
		return func() {
			<-t.held
			l.leave(key, t)
		}, nil
	case <-ctx.Done():
		l.leave(key, t)
		return nil, ctx.Err()
	}
}

// lockAll takes several, which are in the one order that all callers keep to.
func (l *locks[K]) lockAll(ctx context.Context, keys []K) (unlock func(), err error) {
	taken := make([]func(), 0, len(keys))
	unlock = func() {
		for _, one := range taken {
			one()
		}
	}
	for _, key := range keys {
		one, err := l.lock(ctx, key)
		if err != nil {
			unlock()
			return nil, err
		}
		taken = append(taken, one)
	}
	return unlock, nil
}

func (l *locks[K]) enter(key K) *turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.turns[key]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		l.turns[key] = t
	}
	t.want++
	return t
}

func (l *locks[K]) leave(key K, t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.want--; t.want == 0 {
		delete(l.turns, key)
	}
}

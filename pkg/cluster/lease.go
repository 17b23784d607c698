// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"mailpush.internal/pkg/hold"
)

const (
	// renewalsPerTTL is how often a lease is renewed while it lives: three renewals
	// may get lost.
	renewalsPerTTL = 4
	// fenceLook is the longest time between two looks at the clock. Timers sleep
	// through a suspend; looking does not.
	fenceLook = 100 * time.Millisecond
)

// lease is an etcd lease with its own renewal and its own fence; see [hold.Fence].
// Past the fence the right to act is in doubt, and renewals go on: one that is
// acknowledged says that the lease was there all the time. If what hangs on it was there
// as well, nobody else can have been given it, and the right is current again.
type lease struct {
	conn *clientv3.Client
	id   clientv3.LeaseID
	ttl  time.Duration

	mu    sync.Mutex
	fence hold.Fence // on bootTime
	// standing looks whether what hangs on the lease is still there; nil when nothing is.
	standing func(context.Context) error
	// suspect says that it was seen to go while the right was in doubt.
	suspect bool

	changed chan struct{} // hints that the right is another now
	doubted chan struct{} // closed when the right was in doubt for the first time
	lost    chan struct{} // closed when the lease is gone
	doubt   sync.Once
	losing  sync.Once
	ending  sync.Once
	cancel  context.CancelFunc
	loops   sync.WaitGroup
}

// grant takes a lease on conn, which it owns from then on, and keeps it alive.
func grant(ctx context.Context, conn *clientv3.Client, ttl time.Duration) (*lease, error) {
	sent := bootTime()
	response, err := conn.Grant(ctx, int64(ttl/time.Second))
	if err != nil {
		return nil, fmt.Errorf("taking a lease: %w", err)
	}
	// What counts is the TTL granted, not the one asked for.
	l := &lease{
		conn: conn, id: response.ID, ttl: time.Duration(response.TTL) * time.Second,
		changed: make(chan struct{}, 1), doubted: make(chan struct{}), lost: make(chan struct{}),
	}
	l.fence.Extend(sent, l.ttl)
	loops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.loops.Go(func() { l.renew(loops) })
	l.loops.Go(func() { l.watchClock(loops) })
	return l, nil
}

// bear makes the right rest on more than the lease.
func (l *lease) bear(standing func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing = standing
}

// fallen takes in that what hangs on the lease is gone, which ends it while the right
// is current: others may have been given it. In doubt that may be the last word of an
// etcd that goes down, after which nobody takes over; then the next renewal that is
// acknowledged looks for itself.
func (l *lease) fallen() {
	l.mu.Lock()
	l.suspect = true
	current := !l.fence.Over(bootTime())
	l.mu.Unlock()
	if current {
		l.lose()
	}
}

// renewed takes in that a renewal sent at a time was acknowledged.
func (l *lease) renewed(ctx context.Context, sent, ttl time.Duration) error {
	for looked := false; !l.extend(looked, sent, ttl); looked = true {
		if err := l.standing(ctx); err != nil {
			return err
		}
	}
	return nil
}

// extend moves the fence, unless somebody has to look first.
func (l *lease) extend(looked bool, sent, ttl time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	blind := l.suspect || !looked && l.fence.Over(bootTime())
	l.suspect = false
	if blind && l.standing != nil {
		return false
	}
	l.fence.Extend(sent, ttl)
	return true
}

// until is when the right to act ends, on bootTime.
func (l *lease) until() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fence.Until()
}

// held tells whether the right to act is current, by the clock and not by a timer.
func (l *lease) held() bool {
	select {
	case <-l.lost:
		return false
	default:
		return bootTime() < l.until()
	}
}

// doubts notes that the right has been in doubt.
func (l *lease) doubts() { l.doubt.Do(func() { close(l.doubted) }) }

func (l *lease) lose() {
	l.losing.Do(func() { close(l.lost) })
	l.doubts()
	l.hint()
}

// hint tells that the right is another now.
func (l *lease) hint() {
	select {
	case l.changed <- struct{}{}:
	default: // the last hint has yet to be taken
	}
}

// renew renews until the lease is gone.
func (l *lease) renew(ctx context.Context) {
	interval := l.ttl / renewalsPerTTL
	line := &renewals{lease: l}
	defer line.hangUp()
	for wait := interval; l.pause(ctx, wait); {
		started := time.Now()
		if err := line.renew(ctx, interval); errors.Is(err, rpctypes.ErrLeaseNotFound) || errors.Is(err, ErrLost) {
			l.lose()
			return
		}
		// Every other error is a renewal that may or may not have happened. Until one
		// is acknowledged the end stays where it is.
		wait = max(interval-time.Since(started), interval/renewalsPerTTL)
	}
}

// watchClock tells when the right comes into doubt, and when it is current again.
func (l *lease) watchClock(ctx context.Context) {
	held := true
	for wait := time.Duration(0); l.pause(ctx, wait); {
		left := l.until() - bootTime()
		if now := left > 0; now != held {
			held = now
			if !held {
				l.doubts()
			}
			l.hint()
		}
		wait = fenceLook
		if left > 0 {
			wait = min(left, fenceLook)
		}
	}
}

// pause waits. It returns false when the lease is gone or ctx has ended.
func (l *lease) pause(ctx context.Context, d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return true
	case <-l.lost:
		return false
	case <-ctx.Done():
		return false
	}
}

// close ends the right to act, revokes the lease, which deletes its keys, and closes
// the connection. When etcd does not answer, the lease runs out by itself. A second
// call does nothing.
func (l *lease) close(ctx context.Context) (err error) {
	l.ending.Do(func() { err = l.end(ctx) })
	return err
}

func (l *lease) end(ctx context.Context) error {
	l.lose()
	l.cancel()
	l.loops.Wait()
	ctx, cancel := context.WithTimeout(ctx, min(opTimeout, l.ttl))
	defer cancel()
	_, err := l.conn.Revoke(ctx, l.id)
	if closed := l.conn.Close(); err == nil {
		err = closed
	}
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("revoking a lease: %w", err)
	}
	return nil
}

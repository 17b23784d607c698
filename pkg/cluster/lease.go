// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// renewalsPerTTL is how often a lease is renewed while it lives: three renewals
	// may get lost.
	renewalsPerTTL = 4
	// fenceShare of the TTL after the last acknowledged renewal was sent, the right
	// to act ends. The rest covers clocks that run at different speeds.
	fenceShare = 0.9
	// fenceLook is the longest time between two looks at the clock. Timers sleep
	// through a suspend; looking does not.
	fenceLook = 100 * time.Millisecond
)

// lease is an etcd lease with its own renewal and its own end.
//
// The end counts from when the last acknowledged renewal was sent: etcd counts from
// when it was received, which is later, so the right is over here before the keys
// are gone there. concurrency.Session counts from the receipt of the answer and is
// no such fence.
type lease struct {
	conn   *clientv3.Client
	id     clientv3.LeaseID
	ttl    time.Duration
	until  atomic.Int64 // bootTime at which the right to act ends
	lost   chan struct{}
	losing sync.Once
	ending sync.Once
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// grant takes a lease on conn, which it owns from then on, and keeps it alive.
func grant(ctx context.Context, conn *clientv3.Client, ttl time.Duration) (*lease, error) {
	sent := bootTime()
	response, err := conn.Grant(ctx, int64(ttl/time.Second))
	if err != nil {
		return nil, fmt.Errorf("taking a lease: %w", err)
	}
	// What counts is the TTL granted, not the one asked for.
	l := &lease{conn: conn, id: response.ID, ttl: time.Duration(response.TTL) * time.Second, lost: make(chan struct{})}
	l.extend(sent, l.ttl)
	loops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.loops.Go(func() { l.renew(loops) })
	l.loops.Go(func() { l.watchClock(loops) })
	return l, nil
}

func (l *lease) extend(sent, ttl time.Duration) {
	l.until.Store(int64(sent + time.Duration(float64(ttl)*fenceShare)))
}

// held tells whether the right to act is current, by the clock and not by a timer.
func (l *lease) held() bool {
	select {
	case <-l.lost:
		return false
	default:
		return int64(bootTime()) < l.until.Load()
	}
}

func (l *lease) lose() { l.losing.Do(func() { close(l.lost) }) }

// renew renews until the lease is gone or the right to it has ended.
func (l *lease) renew(ctx context.Context) {
	interval := l.ttl / renewalsPerTTL
	next := time.NewTimer(interval)
	defer next.Stop()
	line := &renewals{lease: l}
	defer line.hangUp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
			return
		case <-next.C:
		}
		started := time.Now()
		if err := line.renew(ctx, interval); errors.Is(err, rpctypes.ErrLeaseNotFound) {
			l.lose()
			return
		}
		// Every other error is a renewal that may or may not have happened. Until one
		// is acknowledged the end stays where it is.
		next.Reset(max(interval-time.Since(started), interval/renewalsPerTTL))
	}
}

// watchClock ends the right to act in time.
func (l *lease) watchClock(ctx context.Context) {
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
			return
		case <-look.C:
		}
		left := time.Duration(l.until.Load()) - bootTime()
		if left <= 0 {
			l.lose()
			return
		}
		look.Reset(min(left, fenceLook))
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

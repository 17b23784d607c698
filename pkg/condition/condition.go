// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package condition logs what lasts once. A loop that tries again and again, or a call
// that fails like those before it, says when that begins and when it is over, and not at
// every try: an outage of an hour is two lines of a log, and what else happens meanwhile
// can still be read in it.
//
// Invariant: from a first failure to the success that ends it, each kind of failure is
// logged once.
package condition

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/fault"
)

// settling is how long nothing must have failed before a success ends a condition that
// many share: while some fail and others do not, it would end and begin with each.
const settling = 10 * time.Second

// Condition is one thing that can be well or not. It is safe for concurrent use.
type Condition struct {
	log    *slog.Logger
	level  slog.Level
	what   string
	settle time.Duration
	now    func() time.Time

	failing atomic.Bool // a success costs nothing while it is false
	mu      sync.Mutex
	began   time.Time // the first failure
	last    time.Time // the latest one
	worked  bool      // since the latest
	tries   int       // how many failed
	told    map[fault.Kind]bool
}

// New makes a condition that is well. Its failures are logged at a level as what they are,
// a constant phrase.
func New(log *slog.Logger, level slog.Level, what string) *Condition {
	return &Condition{log: log, level: level, what: what, now: time.Now}
}

// NewShared is New for what many do side by side, of whom some may fail while others do
// not: it is over when nobody has failed for ten seconds.
func NewShared(log *slog.Logger, level slog.Level, what string) *Condition {
	c := New(log, level, what)
	c.settle = settling
	return c
}

// Failed takes note of a failure, and logs it with args when none of its kind was logged
// since it began.
func (c *Condition) Failed(ctx context.Context, err error, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.failing.Load() && c.worked && now.Sub(c.last) >= c.settle {
		c.end(ctx) // by a success that came too early to tell
	}
	if !c.failing.Swap(true) {
		c.began, c.tries, c.told = now, 0, make(map[fault.Kind]bool)
	}
	c.last, c.worked = now, false
	c.tries++
	if kind := fault.KindOf(err); !c.told[kind] {
		c.told[kind] = true
		c.log.Log(ctx, c.level, c.what, append(args, "error", err)...) //nolint:sloglint // a constant, by New's word
	}
}

// Worked takes note of a success, and logs the end of what it ends.
func (c *Condition) Worked(ctx context.Context) {
	if !c.failing.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worked = true
	if c.failing.Load() && c.now().Sub(c.last) >= c.settle {
		c.end(ctx)
	}
}

func (c *Condition) end(ctx context.Context) {
	c.failing.Store(false)
	c.log.InfoContext(ctx, "a failure is over", "what", c.what, "tries", c.tries, "lasted", c.last.Sub(c.began).Round(time.Millisecond))
}

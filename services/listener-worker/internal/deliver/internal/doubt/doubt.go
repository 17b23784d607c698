// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package doubt stands before each delivery. While the right to act is current it costs
// a look at the clock. In doubt, it asks the registry whether the claim's epoch is still
// the newest, for this delivery and those that wait at the same moment, and for none
// that comes later: an answer grows old the moment it is given.
package doubt

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mailpush.internal/pkg/backoff"

	"mailpush.internal/pkg/hold"
)

const askTimeout = 10 * time.Second

// Gate is what deliveries pass. It is safe for concurrent use.
type Gate struct {
	current func() bool
	ask     func(context.Context, []hold.Claim) ([]hold.Claim, error)
	start   func(func(context.Context))

	mu     sync.Mutex
	next   *question // what is asked next; nil when nobody waits
	asking bool
}

// question is one call to the registry. All but claims is set when done is closed.
type question struct {
	claims  map[hold.Claim]bool
	done    chan struct{}
	refused []hold.Claim
	err     error
}

// New makes a gate. current tells whether the right to act is current at this moment;
// ask opens the claims' epochs once more and returns those that the registry refuses,
// because a higher one is open; start runs what it is given beside everything else.
func New(current func() bool, ask func(context.Context, []hold.Claim) ([]hold.Claim, error), start func(func(context.Context))) *Gate {
	return &Gate{current: current, ask: ask, start: start}
}

// Pass waits until a delivery under the claim may go out. It returns false when the
// claim is refused, and an error when ctx ended first.
func (g *Gate) Pass(ctx context.Context, claim hold.Claim) (bool, error) {
	for failures := 0; !g.current(); failures++ {
		q := g.join(claim)
		select {
		case <-q.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if q.err == nil {
			return !slices.Contains(q.refused, claim), nil
		}
		select {
		case <-time.After(backoff.Calls().Half(failures, rand.Float64())):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// join adds a claim to the next question.
func (g *Gate) join(claim hold.Claim) *question {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &question{claims: make(map[hold.Claim]bool), done: make(chan struct{})}
	}
	g.next.claims[claim] = true
	if !g.asking {
		g.asking = true
		g.start(g.answer)
	}
	return g.next
}

// take returns what is to be asked next, nil when nobody waits any more.
func (g *Gate) take() *question {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.next
	g.next = nil
	g.asking = q != nil
	return q
}

// answer asks one question after the other.
func (g *Gate) answer(ctx context.Context) {
	for q := g.take(); q != nil; q = g.take() {
		bounded, cancel := context.WithTimeout(ctx, askTimeout)
		q.refused, q.err = g.ask(bounded, slices.Collect(maps.Keys(q.claims)))
		cancel()
		close(q.done)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	askTimeout  = 10 * time.Second
	minAskDelay = 250 * time.Millisecond // after a question without an answer; doubled
	maxAskDelay = 5 * time.Second
)

// gate stands before each delivery. While the right to act is current it costs a look
// at the clock. In doubt, it asks the registry whether the claim's epoch is still the
// newest, for this delivery and those that wait at the same moment, and for none
// that comes later: an answer grows old the moment it is given.
type gate struct {
	current  func() bool
	registry Registry
	metrics  *metrics
	start    func(ask func(ctx context.Context)) // beside everything else

	mu     sync.Mutex
	next   *question // what is asked next; nil when nobody waits
	asking bool
}

// question is one call to the registry. All but claims is set when done is closed.
type question struct {
	claims  claimSet
	done    chan struct{}
	refused claimSet
	err     error
}

// pass waits until a delivery under the claim may go out. It returns false when the
// claim is refused, and an error when ctx ended first.
func (g *gate) pass(ctx context.Context, claim Claim) (bool, error) {
	for delay := minAskDelay; !g.current(); delay = min(2*delay, maxAskDelay) {
		q := g.join(claim)
		select {
		case <-q.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if q.err == nil {
			return !q.refused[claim], nil
		}
		select {
		case <-time.After(delay/2 + rand.N(delay/2)):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// join adds a claim to the next question.
func (g *gate) join(claim Claim) *question {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &question{claims: make(claimSet), done: make(chan struct{})}
	}
	g.next.claims[claim] = true
	if !g.asking {
		g.asking = true
		g.start(g.ask)
	}
	return g.next
}

// take returns what is to be asked next, nil when nobody waits any more.
func (g *gate) take() *question {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.next
	g.next = nil
	g.asking = q != nil
	return q
}

// ask asks one question after the other. Opening an epoch once more is the question:
// the registry refuses it when a higher one is open.
func (g *gate) ask(ctx context.Context) {
	for q := g.take(); q != nil; q = g.take() {
		g.metrics.questions.Inc()
		var claims []Claim
		for claim := range q.claims {
			claims = append(claims, claim)
		}
		bounded, cancel := context.WithTimeout(ctx, askTimeout)
		var refused []Claim
		refused, q.err = g.registry.OpenEpoch(bounded, claims)
		q.refused = setOf(refused)
		cancel()
		close(q.done)
	}
}

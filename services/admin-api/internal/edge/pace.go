// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limit is how often something may be done: so many times at once, then once every.
type limit struct {
	key   string
	burst int
	every time.Duration
}

// maxPaces bounds the memory that callers can fill with keys.
const maxPaces = 10_000

// paces keeps to limits, within this process. Keys are kept in two generations: when the
// young one is full the old one is forgotten, which costs a few tries too many. It is safe
// for concurrent use.
type paces struct {
	mu         sync.Mutex
	young, old map[string]*rate.Limiter
}

// take takes one of each limit, or none when one of them is used up: then it returns how
// long that one takes.
func (p *paces) take(now time.Time, limits ...limit) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := make([]*rate.Limiter, len(limits))
	for i, l := range limits {
		taken[i] = p.of(l)
		if missing := 1 - taken[i].TokensAt(now); missing > 0 {
			wait = max(wait, time.Duration(missing*float64(l.every)))
		}
	}
	if wait == 0 {
		for _, l := range taken {
			l.AllowN(now, 1)
		}
	}
	return wait
}

func (p *paces) of(l limit) *rate.Limiter {
	if one, ok := p.young[l.key]; ok {
		return one
	}
	one, ok := p.old[l.key]
	if !ok {
		one = rate.NewLimiter(rate.Every(l.every), l.burst)
	}
	if len(p.young) >= maxPaces/2 || p.young == nil {
		p.old, p.young = p.young, make(map[string]*rate.Limiter)
	}
	p.young[l.key] = one
	return one
}

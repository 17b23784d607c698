// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failuresAllowed is how many failures in a row one source may make.
	failuresAllowed = 10
	// failureEvery is how often one more is allowed afterwards.
	failureEvery = 6 * time.Second
	// networkAllowed and networkEvery are the same for an address, whatever names it
	// claims. They leave room for many behind one address, and little to compute.
	networkAllowed = 60
	networkEvery   = time.Second
	// maxSources bounds the memory that strangers can fill.
	maxSources = 10_000
)

// source is who failed: the address a call came from and the name it claimed, empty
// for all names.
type source struct{ address, name string }

// failures limits how often a source may be wrong. Sources are kept in two
// generations, and when the young one is full the old one is forgotten: constant
// work for each failure, whoever sends them. It is safe for concurrent use.
type failures struct {
	allowed    int           // in a row
	every      time.Duration // one more is allowed afterwards
	mu         sync.Mutex
	young, old map[source]*rate.Limiter
}

func newFailures(allowed int, every time.Duration) *failures {
	return &failures{allowed: allowed, every: every, young: make(map[source]*rate.Limiter)}
}

// wait is how long a source has to wait that has used up its failures; 0 of others.
func (f *failures) wait(s source, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.find(s)
	if l == nil {
		return 0
	}
	return time.Duration(max(0, 1-l.TokensAt(now)) * float64(f.every))
}

// note counts one failure.
func (f *failures) note(s source, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.find(s)
	if l == nil {
		l = rate.NewLimiter(rate.Every(f.every), f.allowed)
	}
	if len(f.young) >= maxSources/2 {
		f.old, f.young = f.young, make(map[source]*rate.Limiter)
	}
	f.young[s] = l
	l.AllowN(now, 1)
}

func (f *failures) find(s source) *rate.Limiter {
	if l, ok := f.young[s]; ok {
		return l
	}
	return f.old[s]
}

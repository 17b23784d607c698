// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"slices"
	"sync"
)

// record is what the receivers of a run took in. It is safe for concurrent use.
type record struct {
	mu         sync.Mutex
	taken      []Taken
	answered   map[pair]bool
	requests   int
	complaints []string
}

func newRecord() *record { return &record{answered: make(map[pair]bool)} }

// request counts a request.
func (r *record) request() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
}

// take notes what a push brought, as one piece.
func (r *record) take(push []Taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, push...)
	for _, t := range push {
		if t.Answered {
			r.answered[pair{t.Subscription, t.Mail}] = true
		}
	}
}

// complain notes a request that should never have been made.
func (r *record) complain(about string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, about)
}

// progress is how many pairs have been answered with 2xx, in how many requests.
func (r *record) progress() (pairs, requests int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.answered), r.requests
}

// read returns everything until now.
func (r *record) read() (taken []Taken, complaints []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken), slices.Clone(r.complaints)
}

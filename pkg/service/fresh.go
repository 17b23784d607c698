// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// freshTime is how long connections that were accepted just before a stop have for their
// request.
const freshTime = 250 * time.Millisecond

// fresh are the connections whose first request has not been answered yet. net/http closes
// them without a word when it shuts down, though whoever connected has been accepted.
type fresh struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	empty chan struct{} // closed when there are none; nil while nobody waits
}

func newFresh() *fresh { return &fresh{conns: make(map[net.Conn]struct{})} }

// changed is for [http.Server]'s ConnState.
func (f *fresh) changed(conn net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch state {
	case http.StateNew:
		f.conns[conn] = struct{}{}
	case http.StateActive:
	case http.StateIdle, http.StateHijacked, http.StateClosed:
		delete(f.conns, conn)
		if len(f.conns) == 0 && f.empty != nil {
			close(f.empty)
			f.empty = nil
		}
	}
}

// wait waits until all there are have been answered. None may come any more.
func (f *fresh) wait(most time.Duration) {
	f.mu.Lock()
	if len(f.conns) == 0 {
		f.mu.Unlock()
		return
	}
	empty := make(chan struct{})
	f.empty = empty
	f.mu.Unlock()
	patience := time.NewTimer(most)
	defer patience.Stop()
	select {
	case <-empty:
	case <-patience.C:
	}
}

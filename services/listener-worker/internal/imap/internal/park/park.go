// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package park holds connections that wait for their peer's next word. A parked connection
// is its socket, the state of its TLS and a few hundred bytes: it has no goroutine, no
// buffer and no timer of the runtime.
//
// A [Socket] lies beneath the TLS connection. While it is still, a read of it ends with
// [ErrNothingYet] instead of waiting. That is a temporary error, after which crypto/tls goes
// on where it was, so the TLS connection reads as far as the bytes go and keeps what it has
// half read. A [Lot] watches all sockets that are parked, and wakes their owners.
//
// Invariant: no word is lost. Whoever parks a connection reads until there is nothing yet,
// for nobody else sees what TLS has decrypted already, and then asks to be watched; whatever
// arrives between the two wakes it at once.
package park

import (
	"net"
	"sync"
)

// Waker owns a socket that is parked.
type Waker interface {
	// Wake is called when there may be something to read, or the connection has ended;
	// also in vain. The socket is not watched any more then. It must not block, and it is
	// called from any goroutine, also while the one before has not returned.
	Wake()
}

// nothingYet is the error of [ErrNothingYet].
type nothingYet struct{}

// Error, Timeout and Temporary implement [net.Error].
func (nothingYet) Error() string   { return "nothing to read yet" }
func (nothingYet) Timeout() bool   { return false }
func (nothingYet) Temporary() bool { return true }

// ErrNothingYet is how a read of a still socket ends where it would wait.
var ErrNothingYet net.Error = nothingYet{}

// loudAtOnce is how many goroutines serve connections that do not fall silent. More would
// only let floods take more of the processor from honest connections.
const loudAtOnce = 2

// loud are the connections that have more to say than their owner takes at a time. They
// take turns, so that a flood holds up neither the lot nor another flood for long.
type loud struct {
	mu      sync.Mutex
	queue   []*Socket
	serving int
}

// serve has a socket's owner woken when it is its turn.
func (l *loud) serve(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, s)
	if l.serving < loudAtOnce {
		l.serving++
		go l.run()
	}
}

func (l *loud) run() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.serving--
			l.queue = nil // what a storm took is not kept
			l.mu.Unlock()
			return
		}
		s := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		s.owner.Wake()
	}
}

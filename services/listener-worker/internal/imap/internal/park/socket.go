// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// errDeaf is how a still connection ends whose peer wants answers and takes none: waiting
// for it could hold up every other connection.
var errDeaf = errors.New("the peer does not read what it asked for")

// Socket is a TCP connection, for TLS to lie on. At any time one goroutine owns it, which
// may read, write and say what it is to do; Close may be called by any.
type Socket struct {
	net.Conn

	raw   syscall.RawConn
	lot   *Lot
	owner Waker
	still bool
	left  atomic.Bool // closed
	watched
}

// Enter makes a socket of a connection. Its owner is woken as [Socket.Watch] says.
func (l *Lot) Enter(conn net.Conn, owner Waker) (*Socket, error) {
	able, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.New("park: not a connection of the operating system")
	}
	raw, err := able.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Socket{Conn: conn, raw: raw, lot: l, owner: owner}, nil
}

// Still says whether reads and writes end where they would wait.
func (s *Socket) Still(still bool) { s.still = still }

// Loud is what the owner calls in place of [Socket.Watch] when it has read for long and
// there is more: it is woken again, after others.
func (s *Socket) Loud() { s.lot.loud.serve(s) }

// Read implements [net.Conn].
func (s *Socket) Read(p []byte) (int, error) {
	if !s.still {
		return s.Conn.Read(p)
	}
	n, err := s.now(func(fd int) (int, error) { return syscall.Read(fd, p) })
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return 0, ErrNothingYet
	case err != nil:
		return 0, err
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn]. What is written while the socket is still is what TLS has to
// say by itself, such as the answer to a KeyUpdate.
func (s *Socket) Write(p []byte) (int, error) {
	if !s.still {
		return s.Conn.Write(p)
	}
	n, err := s.now(func(fd int) (int, error) { return syscall.Write(fd, p) })
	if err == nil && n < len(p) || errors.Is(err, syscall.EAGAIN) {
		err = errDeaf
	}
	return n, err
}

// now makes a system call that does not wait.
func (s *Socket) now(call func(fd int) (int, error)) (n int, err error) {
	failed := s.raw.Control(func(fd uintptr) {
		for {
			n, err = call(int(fd))
			if !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	if failed != nil {
		return 0, failed
	}
	return max(n, 0), err
}

// Close implements [net.Conn]. Its owner is not woken any more, but for a call that is on
// its way.
func (s *Socket) Close() error {
	if s.left.Swap(true) {
		return net.ErrClosed
	}
	s.lot.leave(s)
	return s.Conn.Close()
}

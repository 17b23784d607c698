// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && (!linux || noepoll)

package park

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// Lot watches sockets, each by a goroutine of its own, where there is no epoll. The zero
// value is ready. It is safe for concurrent use.
type Lot struct{ loud loud }

// watched is what a socket knows of being watched.
type watched struct {
	mu sync.Mutex
	// ended is closed when the goroutine that watches has ended; nil when there is none.
	ended chan struct{}
}

// Watch has the owner woken once, when there is something to read or the connection has
// ended. An error means that it will not be.
func (s *Socket) Watch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return nil
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		err := s.raw.Read(func(fd uintptr) bool {
			var one [1]byte // looked at, not taken
			_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
			return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
		})
		s.mu.Lock()
		s.ended = nil
		s.mu.Unlock()
		close(ended)
		if err == nil {
			s.owner.Wake()
		}
	}()
	return nil
}

// Unwatch ends what Watch began: whoever waits to read would hold up other reads.
func (s *Socket) Unwatch() {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended == nil {
		return
	}
	_ = s.SetReadDeadline(time.Unix(1, 0)) // ends the wait
	<-ended
	_ = s.SetReadDeadline(time.Time{})
}

// leave has nothing to forget: the end of the connection ends the goroutine.
func (*Lot) leave(*Socket) {}

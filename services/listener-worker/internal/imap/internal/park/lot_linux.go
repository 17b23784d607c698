// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !noepoll

package park

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// Lot watches sockets, all of them by one goroutine and one epoll, which exist while there
// are sockets to watch. The zero value is ready. It is safe for concurrent use.
//
// A socket is watched once for each call of Watch, and so long as there is something to
// read it counts (level-triggered, EPOLLONESHOT): so it does not matter how late it is
// watched, and it cannot wake its owner while that is reading. An event that is late, of a
// descriptor that was closed and has another socket now, wakes that one's owner in vain.
type Lot struct {
	loud loud

	mu    sync.Mutex
	epoll *epoll
	spots []*Socket // by file descriptor
	count int       // of sockets in them
}

// watched is what a socket knows of being watched, guarded by the lot's mutex.
type watched struct {
	entered bool // it is in the lot's epoll
	fd      int32
}

// epoll waits in the poller of the runtime, and so ties up no thread.
type epoll struct {
	file *os.File
	raw  syscall.RawConn
}

const (
	oneShot    = 1 << 30 // EPOLLONESHOT, which package syscall has as a negative number
	interest   = syscall.EPOLLIN | syscall.EPOLLRDHUP | oneShot
	eventsOnce = 256
)

// Watch has the owner woken once, when there is something to read or the connection has
// ended. An error means that it will not be.
func (s *Socket) Watch() error { return s.lot.watch(s) }

// Unwatch ends what Watch began. Here that is not needed: a call in vain finds out.
func (s *Socket) Unwatch() {}

func (l *Lot) watch(s *Socket) error {
	var failed error
	err := s.raw.Control(func(fd uintptr) {
		e, op, event, err := l.spot(s, int32(fd))
		if err == nil {
			err = e.control(op, int(fd), &event)
		}
		failed = err
	})
	if err != nil {
		return err
	}
	return failed
}

// spot finds the socket its place.
func (l *Lot) spot(s *Socket, fd int32) (e *epoll, op int, event syscall.EpollEvent, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.left.Load() {
		return nil, 0, event, os.ErrClosed
	}
	op = syscall.EPOLL_CTL_MOD
	if !s.entered {
		op = syscall.EPOLL_CTL_ADD
		if l.epoll == nil {
			if l.epoll, err = l.start(); err != nil {
				return nil, 0, event, err
			}
		}
		for int(fd) >= len(l.spots) {
			l.spots = append(l.spots, nil)
		}
		l.spots[fd] = s
		s.entered, s.fd = true, fd
		l.count++
	}
	return l.epoll, op, syscall.EpollEvent{Events: interest, Fd: fd}, nil
}

// leave forgets a socket that is about to be closed, which takes it out of the epoll.
func (l *Lot) leave(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.entered {
		return
	}
	l.spots[s.fd] = nil
	if l.count--; l.count == 0 {
		_ = l.epoll.file.Close() // ends its goroutine
		l.epoll = nil
	}
}

// find returns the socket of a descriptor, nil when it was closed.
func (l *Lot) find(fd int32) *Socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spots[fd]
}

func (l *Lot) start() (*epoll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // else the file would block a thread
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	e := &epoll{file: os.NewFile(uintptr(fd), "parked connections")}
	if e.raw, err = e.file.SyscallConn(); err != nil {
		_ = e.file.Close()
		return nil, err
	}
	go l.run(e)
	return e, nil
}

// run wakes the owners of sockets until the epoll is closed.
func (l *Lot) run(e *epoll) {
	events := make([]syscall.EpollEvent, eventsOnce)
	for {
		n, err := e.wait(events)
		if err != nil {
			return
		}
		for _, event := range events[:n] {
			if s := l.find(event.Fd); s != nil {
				s.owner.Wake()
			}
		}
	}
}

// wait returns the events there are, and waits for the first.
func (e *epoll) wait(events []syscall.EpollEvent) (n int, err error) {
	closed := e.raw.Read(func(fd uintptr) bool {
		for {
			if n, err = syscall.EpollWait(int(fd), events, 0); !errors.Is(err, syscall.EINTR) {
				return n != 0
			}
		}
	})
	if closed != nil {
		return 0, closed
	}
	return max(n, 0), os.NewSyscallError("epoll_wait", err)
}

func (e *epoll) control(op, fd int, event *syscall.EpollEvent) error {
	var failed error
	err := e.raw.Control(func(epoll uintptr) { failed = syscall.EpollCtl(int(epoll), op, fd, event) })
	if err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", failed)
}

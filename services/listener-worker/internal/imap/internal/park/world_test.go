// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// streams makes two ends of a stream of the operating system.
func streams(tb testing.TB) (here, there net.Conn) {
	tb.Helper()
	here, there, err := socketpair()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return here, there
}

func socketpair() (here, there net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		end, failed := net.FileConn(file) // has a descriptor of its own
		ends[i], err = end, errors.Join(err, failed, file.Close())
	}
	return ends[0], ends[1], err
}

// guest owns a socket and reads whatever comes while no operation has it.
type guest struct {
	*Socket

	stream net.Conn // the socket, or TLS upon it
	once   int      // how much it reads at a time; 0 for all there is

	mu     sync.Mutex // held by an operation, or by who hears
	parked bool
	failed error

	words sync.Mutex // guards got
	got   bytes.Buffer

	told  chan struct{} // something came
	ended chan struct{} // closed when the connection has
}

func park(tb testing.TB, lot *Lot, conn net.Conn) *guest {
	tb.Helper()
	g := &guest{told: make(chan struct{}, 1), ended: make(chan struct{})}
	socket, err := lot.Enter(conn, g)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = socket.Close() })
	g.Socket, g.stream = socket, socket
	return g
}

// rest parks the connection.
func (g *guest) rest() {
	g.mu.Lock()
	g.parked = true
	g.Still(true)
	g.listen()
}

// take ends that.
func (g *guest) take() {
	g.mu.Lock()
	g.parked = false
	g.Unwatch()
	g.Still(false)
	g.mu.Unlock()
}

// Wake implements [Waker].
func (g *guest) Wake() {
	if !g.mu.TryLock() {
		return
	}
	if !g.parked {
		g.mu.Unlock()
		return
	}
	g.listen()
}

func (g *guest) listen() {
	buffer := make([]byte, 1<<10)
	var err error
	for read := 0; err == nil && (g.once == 0 || read < g.once); {
		var n int
		n, err = g.stream.Read(buffer)
		read += n
		g.words.Lock()
		g.got.Write(buffer[:n])
		g.words.Unlock()
	}
	Release(g.stream)
	quiet := errors.Is(err, ErrNothingYet)
	if err != nil && !quiet {
		g.parked, g.failed = false, err
		close(g.ended)
	}
	g.mu.Unlock()
	select {
	case g.told <- struct{}{}:
	default:
	}
	switch {
	case err == nil:
		g.Loud()
	case quiet:
		_ = g.Watch() // closed meanwhile
	}
}

// heard is what has come by now.
func (g *guest) heard() string {
	g.words.Lock()
	defer g.words.Unlock()
	return g.got.String()
}

func (g *guest) size() int {
	g.words.Lock()
	defer g.words.Unlock()
	return g.got.Len()
}

// await waits until so much has come.
func (g *guest) await(tb testing.TB, size int) {
	tb.Helper()
	late := time.After(patience)
	for g.size() < size {
		select {
		case <-g.told:
		case <-late:
			tb.Fatalf("%d bytes of %d came", g.size(), size)
		}
	}
}

func (g *guest) awaitEnd(tb testing.TB) error {
	tb.Helper()
	select {
	case <-g.ended:
		return g.failed
	case <-time.After(patience):
		tb.Fatal("the end is not noticed")
		return nil
	}
}

func send(tb testing.TB, to io.Writer, words string) {
	tb.Helper()
	if _, err := io.WriteString(to, words); err != nil {
		tb.Fatal(err)
	}
}

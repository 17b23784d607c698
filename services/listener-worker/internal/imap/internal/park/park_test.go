// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"errors"
	"flag"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWordsWake(t *testing.T) {
	t.Parallel()
	var lot Lot
	here, there := streams(t)
	g := park(t, &lot, here)
	send(t, there, "before ")
	g.rest()
	g.await(t, len("before "))
	for n := range 100 {
		send(t, there, "x")
		g.await(t, len("before ")+n+1)
	}
	send(t, there, " after")
	g.await(t, len("before ")+100+len(" after"))
	_ = there.Close()
	if err := g.awaitEnd(t); !errors.Is(err, io.EOF) {
		t.Errorf("the end is told as %v", err)
	}
}

// Half a peer's end and a reset wake as well.
func TestEndsWake(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*net.TCPConn) error{
		"closed": (*net.TCPConn).Close, "half closed": (*net.TCPConn).CloseWrite,
		"reset": func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lot Lot
			here, there := tcp(t)
			g := park(t, &lot, here)
			g.rest()
			if err := end(there); err != nil {
				t.Fatal(err)
			}
			if err := g.awaitEnd(t); err == nil {
				t.Error("no error tells of it")
			}
		})
	}
}

func tcp(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), peer.Close() })
	here, _ = conn.(*net.TCPConn)
	there, _ = peer.(*net.TCPConn)
	return here, there
}

// What an operation leaves unread is heard when it ends, and what comes during it is its.
func TestOperationsTakeTurnsWithHearing(t *testing.T) {
	t.Parallel()
	var lot Lot
	here, there := streams(t)
	g := park(t, &lot, here)
	answer := make([]byte, 3)
	for n := range 300 {
		g.rest()
		if n%3 == 0 {
			send(t, there, "*")
			g.await(t, n/3+1)
		}
		g.take()
		go func() { _, _ = io.WriteString(there, "yes") }() // what is read shows an error
		if _, err := io.ReadFull(g.Socket, answer); err != nil || string(answer) != "yes" {
			t.Fatalf("answer %q, %v", answer, err)
		}
	}
	if got := g.heard(); got != strings.Repeat("*", 100) {
		t.Errorf("heard %q", got)
	}
}

// A flood does not hold up the connections beside it, nor does it just stop being read.
func TestFloodsTakeTurns(t *testing.T) {
	t.Parallel()
	var lot Lot
	var stop atomic.Bool
	var writers sync.WaitGroup
	floods := make([]*guest, 2*loudAtOnce)
	for i := range floods {
		here, there := streams(t)
		floods[i] = park(t, &lot, here)
		floods[i].once = 16 << 10
		writers.Go(func() {
			block := make([]byte, 64<<10)
			for !stop.Load() {
				if _, err := there.Write(block); err != nil {
					return
				}
			}
		})
		floods[i].rest()
	}
	here, there := streams(t)
	honest := park(t, &lot, here)
	honest.rest()
	for n := range 50 {
		send(t, there, "x")
		honest.await(t, n+1)
	}
	for _, flood := range floods {
		flood.await(t, 1<<20)
	}
	stop.Store(true)
	for _, flood := range floods {
		_ = flood.Close()
	}
	writers.Wait()
}

// What TLS says by itself to somebody who takes no answers must not be waited for.
func TestDeafPeerEndsTheConnection(t *testing.T) {
	t.Parallel()
	var lot Lot
	here, _ := streams(t)
	g := park(t, &lot, here)
	g.Still(true)
	block := make([]byte, 64<<10)
	var err error
	for range 1000 {
		if _, err = g.Write(block); err != nil {
			break
		}
	}
	if !errors.Is(err, errDeaf) {
		t.Errorf("writing without end: %v", err)
	}
}

// Only what an operating system can wait for can be parked.
func TestConnectionsInMemoryCannotBeParked(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	if _, err := new(Lot).Enter(here, &guest{}); err == nil {
		t.Error("it can")
	}
}

func TestClosedSocketsAreNotWatched(t *testing.T) {
	t.Parallel()
	var lot Lot
	here, _ := streams(t)
	g := park(t, &lot, here)
	g.rest()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := g.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

// cycles is a flag for long runs: a million takes about a quarter of an hour with -race.
var cycles = flag.Int("park.cycles", 3000, "how often connections are opened, parked, woken and closed")

// Descriptors are used again at once, and connections end at every point of their cycle:
// no word may reach another connection, and none be lost.
func TestCyclesOfOpenParkWakeClose(t *testing.T) {
	t.Parallel()
	var lot Lot
	var left atomic.Int64
	left.Store(int64(*cycles))
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for n := 0; left.Add(-1) >= 0; n++ {
				cycle(t, &lot, byte('a'+w), n)
			}
		})
	}
	workers.Wait()
}

func cycle(t *testing.T, lot *Lot, word byte, n int) {
	here, there, err := socketpair()
	if err != nil {
		t.Error(err)
		return
	}
	g := &guest{told: make(chan struct{}, 1), ended: make(chan struct{})}
	socket, err := lot.Enter(here, g)
	if err != nil {
		t.Error(err)
		return
	}
	g.Socket, g.stream = socket, socket
	g.rest()
	switch n % 4 {
	case 0: // closed while a word is on its way
		_, _ = there.Write([]byte{word}) // nobody needs it
	case 1: // the peer goes first
		_, _ = there.Write([]byte{word})
		_ = there.Close()
		if err := g.awaitEnd(t); err == nil || g.heard() != string(word) {
			t.Errorf("heard %q, want %q; %v", g.heard(), word, err)
		}
	default: // woken, used and parked again
		_, _ = there.Write([]byte{word})
		g.await(t, 1)
		g.take()
		_, _ = there.Write([]byte{word})
		if _, err := io.ReadFull(socket, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		_ = socket.SetDeadline(time.Time{})
		g.rest()
		_, _ = there.Write([]byte{word})
		g.await(t, 2)
	}
	_, _ = socket.Close(), there.Close()
	if got := strings.Trim(g.heard(), string(word)); got != "" {
		t.Errorf("heard %q of another", got)
	}
}

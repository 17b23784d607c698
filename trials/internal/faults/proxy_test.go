// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo starts a server that sends every line back, and what lines it got.
func echo(t *testing.T) (address string, got <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	lines := make(chan string, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for reader := bufio.NewReader(conn); ; {
					line, err := reader.ReadString('\n')
					if err != nil {
						return
					}
					lines <- line
					_, _ = io.WriteString(conn, line)
				}
			}()
		}
	}()
	return listener.Addr().String(), lines
}

func dial(t *testing.T, p *Proxy) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

// open starts a proxy to an echo, with a connection through it that works.
func open(t *testing.T) (p *Proxy, conn net.Conn, answers *bufio.Reader, got <-chan string) {
	t.Helper()
	target, got := echo(t)
	p, err := NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, answers = dial(t, p)
	converse(t, conn, answers, got)
	return p, conn, answers, got
}

func say(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
}

// converse sends something, and expects it to arrive and to come back.
func converse(t *testing.T, conn net.Conn, answers *bufio.Reader, got <-chan string) {
	t.Helper()
	say(t, conn)
	<-got
	if line, err := answers.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

func TestProxyFallsSilentInOneDirection(t *testing.T) {
	t.Parallel()
	p, conn, answers, got := open(t)
	p.Silence(ToClient)
	say(t, conn)
	<-got // it arrives, and the answer does not
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if line, err := answers.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q, %v, want silence", line, err)
	}
	p.Heal() // a connection that has missed something is of no use
	_ = conn.SetReadDeadline(time.Time{})
	if _, err := answers.ReadString('\n'); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection lives on: %v", err)
	}

	p.Silence(ToServer)
	conn, _ = dial(t, p)
	say(t, conn)
	select {
	case line := <-got:
		t.Fatalf("%q has arrived", line)
	case <-time.After(50 * time.Millisecond):
	}
	p.Heal()
	conn, answers = dial(t, p)
	converse(t, conn, answers, got)
}

func TestProxyIsSlowInOneDirection(t *testing.T) {
	t.Parallel()
	const late = 30 * time.Millisecond
	p, conn, answers, got := open(t)
	p.Delay(ToServer, late)
	for range 3 { // in order, and all of it
		began := time.Now()
		converse(t, conn, answers, got)
		if took := time.Since(began); took < late {
			t.Errorf("took %v", took)
		}
	}
	p.Heal()
	converse(t, conn, answers, got)
}

func TestProxyCutsOneDirection(t *testing.T) {
	t.Parallel()
	p, _, answers, _ := open(t)
	p.Cut(ToClient)
	if _, err := answers.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	p, _, answers, got := open(t)
	p.Cut(ToServer) // the server sees the end, and ends it all
	if _, err := answers.ReadString('\n'); err == nil {
		t.Error("the connection lives on")
	}
	conn, again := dial(t, p)
	converse(t, conn, again, got)
}

func TestProxyKeepsOneMessageBack(t *testing.T) {
	t.Parallel()
	p, conn, answers, got := open(t)
	caught := p.Catch(ToServer, "nothing", "one")
	converse(t, conn, answers, got)
	for _, text := range []string{"this one\n", "the next one\n"} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	<-caught
	other, others := dial(t, p)
	converse(t, other, others, got) // no other connection waits
	select {
	case line := <-got:
		t.Fatalf("%q has arrived", line)
	default:
	}
	p.Heal()
	if first, second := <-got, <-got; first != "this one\n" || second != "the next one\n" {
		t.Errorf("%q and %q have arrived", first, second)
	}
}

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

func TestProxyFallsSilentInOneDirection(t *testing.T) {
	t.Parallel()
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
	say := func(conn net.Conn) {
		t.Helper()
		if _, err := io.WriteString(conn, "hello\n"); err != nil {
			t.Fatal(err)
		}
	}
	conn, answers := dial(t, p)
	say(conn)
	<-got
	if line, err := answers.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}

	p.Silence(ToClient)
	say(conn)
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
	say(conn)
	select {
	case line := <-got:
		t.Fatalf("%q has arrived", line)
	case <-time.After(50 * time.Millisecond):
	}
	p.Heal()
	conn, answers = dial(t, p)
	say(conn)
	if line, err := answers.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("healed: %q, %v", line, err)
	}
	p.Cut()
	if _, err := answers.ReadString('\n'); err == nil {
		t.Error("a connection outlives the cut")
	}
}

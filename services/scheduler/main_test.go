// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailpush.internal/pkg/cluster/embedded"
)

// endpoints is the etcd all tests share, each under a prefix of its own.
var endpoints []string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "scheduler")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := embedded.Start(context.Background(), embedded.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	endpoints = server.Endpoints()
	code := m.Run()
	server.Close()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// proxy is a way to etcd that can be cut.
type proxy struct {
	addr string
	l    net.Listener
	mu   sync.Mutex
	open []net.Conn
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), l: l}
	var copies sync.WaitGroup
	copies.Go(func() { p.serve(&copies) })
	t.Cleanup(func() {
		p.cut()
		copies.Wait()
	})
	return p
}

func (p *proxy) serve(copies *sync.WaitGroup) {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", strings.TrimPrefix(endpoints[0], "unix://"))
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, in, out)
		p.mu.Unlock()
		copies.Go(func() { _, _ = io.Copy(out, in) })
		copies.Go(func() { _, _ = io.Copy(in, out) })
	}
}

// until waits until so many connections were made.
func (p *proxy) until(t *testing.T, made int) {
	t.Helper()
	for late := time.After(patience); ; {
		p.mu.Lock()
		enough := len(p.open) >= 2*made
		p.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("fewer than %d connections were made", made)
		}
	}
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	_ = p.l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		_ = conn.Close()
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// gate is a proxy in front of etcd that can swallow everything, both ways.
type gate struct {
	net.Listener

	target string
	mu     sync.Mutex
	closed bool // nothing passes
	conns  []net.Conn
}

func newGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, target: strings.TrimPrefix(endpoints[0], "unix://")}
	var copies sync.WaitGroup
	copies.Go(func() { g.serve(t, &copies) })
	t.Cleanup(func() {
		_ = l.Close()
		g.mu.Lock()
		for _, conn := range g.conns {
			_ = conn.Close()
		}
		g.mu.Unlock()
		copies.Wait()
	})
	return g
}

func (g *gate) serve(t *testing.T, copies *sync.WaitGroup) {
	t.Helper()
	for {
		in, err := g.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", g.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, in, out)
		g.mu.Unlock()
		copies.Go(func() { g.pass(out, in) })
		copies.Go(func() { g.pass(in, out) })
	}
}

func (g *gate) pass(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		g.mu.Lock()
		swallow := g.closed
		g.mu.Unlock()
		if swallow {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func TestRightEndsBeforeTheKeyIsGone(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	open(t, config)
	through := newGate(t)
	cut := config
	cut.Endpoints = []string{through.Addr().String()}
	member := join(t, open(t, cut))
	etcd, key := raw(t), config.Prefix+"/worker/"+member.ID()
	gone := etcd.Watch(t.Context(), key, clientv3.WithFilterPut())

	// Longer than one lease, so that only renewals can have kept it.
	select {
	case <-member.Lost():
		t.Fatal("the registration did not outlive its first lease")
	case <-gone:
		t.Fatal("the key is gone while it is renewed")
	case <-time.After(2500 * time.Millisecond):
	}
	through.shut()
	select {
	case <-member.Lost():
	case <-gone:
		t.Fatal("the key is gone and the worker still acts")
	case <-time.After(patience):
		t.Fatal("the right has no end")
	}
	if member.Held() {
		t.Error("lost, and still held")
	}
	response, err := etcd.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Kvs) == 0 {
		t.Error("the right ended when the key was gone already")
	}
	receive(t, gone, "end of the key")
}

func TestRevokedLeaseIsNoticed(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	member := join(t, open(t, config))
	etcd := raw(t)
	response, err := etcd.Get(t.Context(), config.Prefix+"/worker/"+member.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Revoke(t.Context(), clientv3.LeaseID(response.Kvs[0].GetLease())); err != nil {
		t.Fatal(err)
	}
	ended(t, member.Lost(), "the right whose lease was revoked")
}

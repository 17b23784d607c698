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

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// gate is a proxy in front of etcd that can swallow everything, both ways.
type gate struct {
	net.Listener

	network, target string

	mu     sync.Mutex
	closed bool // nothing passes
	conns  []net.Conn
}

func newGate(t *testing.T) *gate {
	t.Helper()
	return newGateTo(t, "unix", strings.TrimPrefix(endpoints[0], "unix://"))
}

// newGateTo is a gate in front of an etcd of the test's own.
func newGateTo(t *testing.T, network, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, network: network, target: target}
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
		out, err := net.Dial(g.network, g.target)
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

func (g *gate) shut(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	if !closed { // connections that miss bytes are of no use
		for _, conn := range g.conns {
			_ = conn.Close()
		}
	}
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
	through.shut(true)
	doubt := func() bool { return member.Right() == hold.InDoubt }
	hinted(t, member, "the doubt", doubt)
	select {
	case <-gone:
		t.Fatal("the key was gone before the worker had doubts")
	case <-member.Lost():
		t.Fatal("silence was taken for the end")
	default:
	}
	if until := time.Until(member.Until()); until > 0 || until < -patience {
		t.Errorf("in doubt, and the right ends in %v", until)
	}
	receive(t, gone, "end of the key")
	through.shut(false)
	ended(t, member.Lost(), "the registration whose lease is gone")
}

// hinted waits until the member's right is as it should be, by the hints alone.
func hinted(t *testing.T, member *cluster.Member, what string, reached func() bool) {
	t.Helper()
	late := time.After(patience)
	for !reached() {
		select {
		case <-member.RightChanged():
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestRightIsCurrentAgainWhenTheLeaseWasThereAllTheTime(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	open(t, config)
	through := newGate(t)
	cut := config
	cut.Endpoints = []string{through.Addr().String()}
	member := join(t, open(t, cut))
	etcd, key := raw(t), config.Prefix+"/worker/"+member.ID()
	gone := etcd.Watch(t.Context(), key, clientv3.WithFilterPut())
	response, err := etcd.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	// The lease lives on, as it does in an etcd that was away as a whole.
	if _, err := etcd.KeepAlive(t.Context(), clientv3.LeaseID(response.Kvs[0].GetLease())); err != nil {
		t.Fatal(err)
	}
	through.shut(true)
	hinted(t, member, "the doubt", func() bool { return member.Right() == hold.InDoubt })
	through.shut(false)
	hinted(t, member, "the right", func() bool { return member.Right() == hold.Current })
	if err := member.Report(t.Context(), &clusterv1.Have{Generation: 1}); err != nil {
		t.Error(err)
	}
	select {
	case <-gone:
		t.Error("the key was gone")
	case <-member.Lost():
		t.Error("lost")
	default:
	}
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

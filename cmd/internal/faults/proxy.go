// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package faults breaks a running cluster and looks at what it did: three etcd
// members, workers and schedulers as processes, each worker's way to etcd through
// proxies that can fall silent. The scenarios kill, stop, silence and restart them.
//
// Invariant: whatever a scenario breaks, a history of the whole run is kept, of who
// held which shard when and which epochs the registry accepted, and the verdict comes
// from that history alone.
package faults

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Direction is one of the two ways through a proxy.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy passes TCP connections on to a target. Each direction can fall silent, as a
// broken network does: what is sent is acknowledged and never arrives, and nobody is
// told. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu     sync.Mutex
	silent [2]bool
	conns  map[net.Conn]struct{}
	closed bool
}

// NewProxy starts a proxy to target on a free loopback port.
func NewProxy(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not block
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, conns: make(map[net.Conn]struct{})}
	p.work.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Silence lets nothing through in a direction any more, on connections old and new.
func (p *Proxy) Silence(direction Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent[direction] = true
}

// Heal lets everything through again. Connections that have missed something are cut.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent != [2]bool{} {
		p.cut()
	}
	p.silent = [2]bool{}
}

// Cut ends all connections there are.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

func (p *Proxy) cut() {
	for conn := range p.conns {
		_ = conn.Close() // that is what it is for
	}
}

// Close ends the proxy and waits for all of it.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	err := p.listener.Close()
	p.cut()
	p.mu.Unlock()
	p.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target) //nolint:noctx // on loopback it is refused at once, or works
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.add(client, server) {
			return
		}
		p.work.Go(func() { p.pass(server, client, ToServer) })
		p.work.Go(func() { p.pass(client, server, ToClient) })
	}
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.closed {
			_ = conn.Close()
		}
		p.conns[conn] = struct{}{}
	}
	return !p.closed
}

// pass copies until one side ends, and then ends both.
func (p *Proxy) pass(to io.WriteCloser, from net.Conn, direction Direction) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err == nil && !p.isSilent(direction) {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			break
		}
	}
	_, _ = from.Close(), to.Close()
	p.mu.Lock()
	delete(p.conns, from)
	p.mu.Unlock()
}

func (p *Proxy) isSilent(direction Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent[direction]
}

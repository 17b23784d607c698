// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package faults breaks a running cluster and looks at what it did: three etcd
// members, workers and schedulers as processes, each worker's way to etcd through
// proxies that can fall silent, be slow or break. The scenarios kill, stop, silence,
// slow and restart them.
//
// Invariant: whatever a scenario breaks, a history of the whole run is kept, of who
// held which shard when and which epochs the registry accepted, and the verdict comes
// from that history alone.
package faults

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
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
// told. Each can be slow, each can be cut: what is sent then ends; and each can keep one
// message back. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu     sync.Mutex
	ways   [2]way
	conns  map[*net.TCPConn]struct{}
	pipes  map[*pipe]struct{}
	closed bool
}

// way is what one direction does to what passes.
type way struct {
	silent bool
	late   time.Duration
	catch  *catch
}

// catch keeps back the first chunk that has one of the texts in it, and so whatever
// comes after it on the same connection.
type catch struct {
	texts    [][]byte
	caught   chan struct{} // closed when there was one
	released chan struct{} // closed when it may go on
}

// takes tells whether this is the one, and that there is one.
func (c *catch) takes(chunk []byte) bool {
	select {
	case <-c.caught:
		return false // there was one
	default:
	}
	found := slices.ContainsFunc(c.texts, func(text []byte) bool { return bytes.Contains(chunk, text) })
	if found {
		close(c.caught)
	}
	return found
}

// pipe is one direction of one connection.
type pipe struct {
	to, from  *net.TCPConn
	direction Direction
}

// chunk is something on its way.
type chunk struct {
	bytes []byte
	due   time.Time
	held  <-chan struct{} // until it is closed; nil: not at all
}

const (
	readSize   = 32 << 10
	maxOnItWay = 256 // chunks; a slow way holds back whoever sends more
)

// NewProxy starts a proxy to target on a free loopback port.
func NewProxy(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not block
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		listener: listener, target: target,
		conns: make(map[*net.TCPConn]struct{}), pipes: make(map[*pipe]struct{}),
	}
	p.work.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Silence lets nothing through in a direction any more, on connections old and new.
func (p *Proxy) Silence(direction Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways[direction].silent = true
}

// Delay lets everything through in a direction, but later than it was sent.
func (p *Proxy) Delay(direction Direction, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways[direction].late = by
}

// Catch keeps back the first message in a direction that has one of the texts in it,
// and what follows it on its connection. The channel is closed when there is one.
func (p *Proxy) Catch(direction Direction, texts ...string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &catch{caught: make(chan struct{}), released: make(chan struct{})}
	for _, text := range texts {
		c.texts = append(c.texts, []byte(text))
	}
	p.release()
	p.ways[direction].catch = c
	return c.caught
}

// Heal lets everything through again, at once. Connections that have missed
// something are cut; what was kept back arrives.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ways[ToServer].silent || p.ways[ToClient].silent {
		p.cut()
	}
	p.release()
	p.ways = [2]way{}
}

func (p *Proxy) release() {
	for i := range p.ways {
		if c := p.ways[i].catch; c != nil {
			close(c.released)
		}
		p.ways[i].catch = nil
	}
}

// Cut ends what is sent in a direction on all connections there are: its receiver
// sees the end, its sender does not.
func (p *Proxy) Cut(direction Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for one := range p.pipes {
		if one.direction == direction {
			_ = one.to.CloseWrite() // that is what it is for
		}
	}
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
	p.release()
	p.mu.Unlock()
	p.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		accepted, err := p.listener.Accept()
		if err != nil {
			return
		}
		client, _ := accepted.(*net.TCPConn)
		dialled, err := net.Dial("tcp", p.target) //nolint:noctx // on loopback it is refused at once, or works
		if err != nil {
			_ = client.Close()
			continue
		}
		server, _ := dialled.(*net.TCPConn)
		if !p.add(client, server) {
			return
		}
	}
}

// add passes between two connections, unless the proxy is closed.
func (p *Proxy) add(client, server *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_, _ = client.Close(), server.Close()
		return false
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	for _, one := range []*pipe{{server, client, ToServer}, {client, server, ToClient}} {
		p.pipes[one] = struct{}{}
		p.work.Go(func() { p.pass(one) })
	}
	return true
}

// pass copies until one side ends, and then ends both.
func (p *Proxy) pass(one *pipe) {
	queue := make(chan chunk, maxOnItWay)
	p.work.Go(func() { one.write(queue) })
	for {
		buffer := make([]byte, readSize)
		n, err := one.from.Read(buffer)
		if err != nil {
			break
		}
		if next, passes := p.look(one.direction, buffer[:n]); passes {
			queue <- next
		}
	}
	close(queue)
	p.mu.Lock()
	delete(p.conns, one.from)
	delete(p.pipes, one)
	p.mu.Unlock()
}

// look tells whether and how something that was sent passes.
func (p *Proxy) look(direction Direction, sent []byte) (chunk, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.ways[direction]
	next := chunk{bytes: sent, due: time.Now().Add(now.late)}
	if now.catch != nil && now.catch.takes(sent) {
		next.held = now.catch.released
	}
	return next, !now.silent
}

// write writes what is on its way when its time has come, and ends both sides when
// there is no more. What cannot be written any more is thrown away.
func (one *pipe) write(queue <-chan chunk) {
	for next := range queue {
		<-time.After(time.Until(next.due)) // the way is slow: that is what it is for
		if next.held != nil {
			<-next.held
		}
		_, _ = one.to.Write(next.bytes)
	}
	_, _ = one.from.Close(), one.to.Close()
}

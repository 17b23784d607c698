// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ManyOptions say what a Many does. The zero value is usable.
type ManyOptions struct {
	Address string // host:port; a free port of 127.0.0.1 when empty
	// Chain has it present a certificate chain as long as a large provider's.
	Chain bool
	// Cold has it give no session tickets, so that every handshake is a full one, until
	// GiveTickets says otherwise.
	Cold bool
}

// Many is a TLS server for tens of thousands of connections in IDLE: one goroutine and
// one small buffer each. Every login works and has a mailbox of its own.
type Many struct {
	listener net.Listener
	ca       []byte
	cold     *tls.Config // gives no session tickets
	warm     *tls.Config // gives some
	tickets  atomic.Bool
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*manyConn]struct{}
	boxes  map[string]*manyBox
	all    uint32 // mails that every mailbox got
	counts ManyCounts
}

// ManyCounts are what a Many has seen.
type ManyCounts struct {
	Handshakes int // that were completed
	Resumed    int // of these, those that resumed a session
	Logins     int
	Idle       int // connections that are in IDLE
	Served     int // connections there are that have reached IDLE
	Arrived    int // all that ever have
	Idles      int // times that IDLE was begun
}

// NewMany starts a server.
func NewMany(o ManyOptions) (*Many, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	m := &Many{conns: make(map[*manyConn]struct{}), boxes: make(map[string]*manyBox)}
	if err := m.certify(o.Chain); err != nil {
		return nil, err
	}
	m.tickets.Store(!o.Cold)
	// Probes to tens of thousands of connections at once would be more than the kernel's
	// queues hold; a mail store's own are hours apart.
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listening for many: %w", err)
	}
	m.listener = l
	m.wg.Go(m.accept)
	return m, nil
}

// certify makes the server's certificate.
func (m *Many) certify(chain bool) error {
	const valid = 24 * time.Hour
	hosts := []string{"localhost", "127.0.0.1"}
	certificate, err := NewCertificate(valid, hosts...)
	m.ca = certificate.Cert
	if chain {
		certificate, m.ca, err = NewChain(valid, hosts...)
	}
	if err != nil {
		return err
	}
	if m.warm, err = certificate.ServerTLS(); err != nil {
		return err
	}
	// What is said at once is one record, as long as records may be.
	m.warm.DynamicRecordSizingDisabled = true
	m.cold = m.warm.Clone()
	m.cold.SessionTicketsDisabled = true
	return nil
}

// Addr is where the server listens, host:port.
func (m *Many) Addr() string { return m.listener.Addr().String() }

// CA is the certificate to trust, in PEM.
func (m *Many) CA() []byte { return m.ca }

// GiveTickets says whether connections from now on are given session tickets, and may
// resume sessions.
func (m *Many) GiveTickets(give bool) { m.tickets.Store(give) }

// Counts are what it has seen so far.
func (m *Many) Counts() ManyCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// Idle counts the connections that are in IDLE.
func (m *Many) Idle() int { return m.Counts().Idle }

// Seen counts the connections there are that have reached IDLE, and all that ever
// have. IDLE that is renewed changes neither, so that both tell of owners only.
func (m *Many) Seen() (served, arrived int) {
	counts := m.Counts()
	return counts.Served, counts.Arrived
}

// Close stops the server and all connections.
func (m *Many) Close() error {
	m.mu.Lock()
	m.closed = true
	err := m.listener.Close()
	for c := range m.conns {
		_ = c.tcp.Close() // gone is gone
	}
	m.mu.Unlock()
	m.wg.Wait()
	return err
}

func (m *Many) accept() {
	for {
		tcp, err := m.listener.Accept()
		if err != nil {
			return
		}
		config := m.cold
		if m.tickets.Load() {
			config = m.warm
		}
		c := &manyConn{tcp: tcp, stream: tls.Server(tcp, config)}
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			_ = tcp.Close() // too late
			return
		}
		m.conns[c] = struct{}{}
		m.mu.Unlock()
		m.wg.Go(func() { m.welcome(c) })
	}
}

// welcome does the handshake and leaves the rest to a goroutine with a fresh stack: a
// handshake's is many times as large as what IDLE needs.
func (m *Many) welcome(c *manyConn) {
	if err := c.stream.Handshake(); err != nil {
		m.forget(c)
		return
	}
	m.mu.Lock()
	m.counts.Handshakes++
	if c.stream.ConnectionState().DidResume {
		m.counts.Resumed++
	}
	m.mu.Unlock()
	m.wg.Go(func() {
		defer m.forget(c)
		m.serve(c)
	})
}

// forget ends a connection.
func (m *Many) forget(c *manyConn) {
	m.endIdle(c)
	m.mu.Lock()
	if c.arrived {
		m.counts.Served--
	}
	if c.box != nil {
		c.box.leave(c)
	}
	delete(m.conns, c)
	m.mu.Unlock()
	_ = c.tcp.Close() // it has ended
}

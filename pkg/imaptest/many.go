// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// manyBuffer holds the longest command a client of Many sends.
const manyBuffer = 512

// Many is a TLS server for thousands of connections in IDLE: one goroutine and
// one small buffer each. Every login works, every user has the same folder.
type Many struct {
	listener    net.Listener
	certificate Certificate
	wg          sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*manyConn]struct{}
	idle   int
	served int    // connections there are that have reached IDLE
	first  int    // all that ever have
	next   uint32 // UIDNEXT
}

type manyConn struct {
	net.Conn
	write   sync.Mutex
	idle    bool   // guarded by Many
	arrived bool   // in IDLE once; guarded by Many
	told    uint32 // UIDNEXT when it last heard of the folder; guarded by Many
}

// NewMany starts a server at an address, a free loopback port when it is empty.
func NewMany(address string) (*Many, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	certificate, err := NewCertificate(24*time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	config, err := certificate.ServerTLS()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for many: %w", err)
	}
	m := &Many{listener: tls.NewListener(l, config), certificate: certificate, conns: make(map[*manyConn]struct{}), next: 1}
	m.wg.Go(m.accept)
	return m, nil
}

// Addr is where the server listens, host:port.
func (m *Many) Addr() string { return m.listener.Addr().String() }

// CA is the certificate to trust, in PEM.
func (m *Many) CA() []byte { return m.certificate.Cert }

// Idle counts the connections that are in IDLE.
func (m *Many) Idle() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.idle
}

// Seen counts the connections there are that have reached IDLE, and all that ever
// have. IDLE that is renewed changes neither, so that both tell of owners only.
func (m *Many) Seen() (served, arrived int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.served, m.first
}

// Deliver adds a mail to the folder and tells all connections in IDLE.
func (m *Many) Deliver() (uid uint32) {
	m.mu.Lock()
	uid = m.next
	m.next++
	var idle []*manyConn
	for c := range m.conns {
		if c.idle {
			c.told = m.next
			idle = append(idle, c)
		}
	}
	m.mu.Unlock()
	for _, c := range idle {
		c.say("* %d EXISTS\r\n", uid)
	}
	return uid
}

// uidNext is UIDNEXT, and notes whether the connection hears of the folder with it.
func (m *Many) uidNext(c *manyConn, tells bool) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if tells {
		c.told = m.next
	}
	return m.next
}

// untold is the number of mails if a connection has not heard of all.
func (m *Many) untold(c *manyConn) (exists uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.told != m.next {
		exists = m.next - 1
	}
	c.told = m.next
	return exists
}

// Close stops the server and all connections.
func (m *Many) Close() error {
	m.mu.Lock()
	m.closed = true
	err := m.listener.Close()
	for c := range m.conns {
		_ = c.Close() // gone is gone
	}
	m.mu.Unlock()
	m.wg.Wait()
	return err
}

func (m *Many) accept() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return
		}
		c := &manyConn{Conn: conn}
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			_ = conn.Close() // too late
			return
		}
		m.conns[c] = struct{}{}
		m.mu.Unlock()
		m.wg.Go(func() { m.serve(c) })
	}
}

func (m *Many) serve(c *manyConn) {
	defer func() {
		m.setIdle(c, false)
		m.mu.Lock()
		if c.arrived {
			m.served--
		}
		delete(m.conns, c)
		m.mu.Unlock()
		_ = c.Close() // it has ended
	}()
	c.say("* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR] many\r\n")
	buffer, used := make([]byte, manyBuffer), 0
	idleTag := ""
	for {
		n, err := c.Read(buffer[used:])
		used += n
		for end := bytes.IndexByte(buffer[:used], '\n'); end >= 0; end = bytes.IndexByte(buffer[:used], '\n') {
			idleTag = m.answer(c, string(bytes.TrimSpace(buffer[:end])), idleTag)
			used = copy(buffer, buffer[end+1:used])
		}
		if err != nil || used == len(buffer) {
			return
		}
	}
}

// answer answers one line; it returns the tag of IDLE while that stands.
func (m *Many) answer(c *manyConn, line, idleTag string) string {
	if idleTag != "" {
		m.setIdle(c, false)
		c.say("%s OK done\r\n", idleTag)
		return ""
	}
	words := bytes.Fields([]byte(line))
	if len(words) < 2 {
		c.say("* BAD what?\r\n")
		return ""
	}
	tag, untagged := string(words[0]), ""
	command := string(bytes.ToUpper(words[1]))
	next := m.uidNext(c, command == "EXAMINE" || command == "SELECT")
	switch command {
	case "IDLE":
		m.setIdle(c, true)
		c.say("+ idling\r\n")
		if exists := m.untold(c); exists > 0 { // it came while the client was busy
			c.say("* %d EXISTS\r\n", exists)
		}
		return tag
	case "CAPABILITY":
		untagged = "* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR\r\n"
	case "EXAMINE", "SELECT":
		untagged = fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT %d] ok\r\n", next-1, next)
	case "STATUS":
		untagged = fmt.Sprintf("* STATUS INBOX (UIDNEXT %d UIDVALIDITY 1 UNSEEN %d)\r\n", next, next-1)
	case "UID":
		untagged = m.envelopes(line, next)
	}
	c.say("%s%s OK done\r\n", untagged, tag)
	return ""
}

func (m *Many) envelopes(line string, next uint32) string {
	var tag string
	var from, upto uint32
	if n, _ := fmt.Sscanf(line, "%s UID FETCH %d:%d", &tag, &from, &upto); n == 2 {
		upto = from
	}
	var text bytes.Buffer
	for uid := max(from, 1); uid <= min(upto, next-1); uid++ {
		text.WriteString(Envelope(int(uid), uid, "many"))
	}
	return text.String()
}

func (m *Many) setIdle(c *manyConn, idle bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.idle == idle {
		return
	}
	c.idle = idle
	if idle && !c.arrived {
		c.arrived = true
		m.served++
		m.first++
	}
	if idle {
		m.idle++
	} else {
		m.idle--
	}
}

func (c *manyConn) say(format string, args ...any) {
	c.write.Lock()
	defer c.write.Unlock()
	_, _ = fmt.Fprintf(c.Conn, format, args...) // the reader sees the end
}

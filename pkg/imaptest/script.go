// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
)

// Script says how a scripted server behaves. The zero value is a small, honest
// server with one folder, any password, and IDLE.
type Script struct {
	// Greeting replaces the greeting; it is sent as it is.
	Greeting string
	// Capabilities replace "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR".
	Capabilities string
	// Accept is called instead of the whole conversation.
	Accept func(p *Peer)
	// On replaces the answer to a command, by its upper-case name; UID FETCH is "UID".
	On map[string]func(p *Peer, tag, args string)
	// Views has each connection see only the mails it was told of, by EXAMINE, EXISTS
	// in IDLE, or NOOP. STATUS counts them all.
	Views bool
	// TLS protects connections from the first byte.
	TLS *tls.Config
}

// ScriptServer runs a Script for each connection.
type ScriptServer struct {
	// Folder is the one folder of all users.
	Folder *Folder

	script   Script
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	peers    map[*Peer]struct{}
	accepted int
	commands map[string]int
}

// NewScript starts a scripted server on a free loopback port.
func NewScript(script Script) (*ScriptServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for scripted IMAP: %w", err)
	}
	if script.TLS != nil {
		l = tls.NewListener(l, script.TLS)
	}
	s := &ScriptServer{
		Folder: NewFolder(), script: script, listener: l,
		peers: make(map[*Peer]struct{}), commands: make(map[string]int),
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Addr is where the server listens, host:port.
func (s *ScriptServer) Addr() string { return s.listener.Addr().String() }

// Accepted counts the connections so far.
func (s *ScriptServer) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Commands counts how often a command came, by its upper-case name.
func (s *ScriptServer) Commands(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands[name]
}

// Drop closes all connections.
func (s *ScriptServer) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		_ = p.conn.Close() // gone is gone
	}
}

// Close stops the server and waits for all conversations to end.
func (s *ScriptServer) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.listener.Close()
	s.Drop()
	s.wg.Wait()
	return err
}

func (s *ScriptServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		p := &Peer{Server: s, conn: conn, lines: bufio.NewReader(conn), done: make(chan struct{}), word: s.Folder.word()}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.accepted++
		p.number = s.accepted
		s.peers[p] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() { s.converse(p) })
	}
}

func (s *ScriptServer) converse(p *Peer) {
	defer func() {
		close(p.done)
		s.mu.Lock()
		delete(s.peers, p)
		s.mu.Unlock()
		_ = p.conn.Close() // the conversation is over
	}()
	if s.script.Accept != nil {
		s.script.Accept(p)
		return
	}
	p.Send(s.greeting())
	for {
		tag, command, args, ok := p.Command()
		if !ok {
			return
		}
		s.mu.Lock()
		s.commands[command]++
		s.mu.Unlock()
		if answer := s.script.On[command]; answer != nil {
			answer(p, tag, args)
		} else {
			p.Answer(tag, command, args)
		}
	}
}

func (s *ScriptServer) greeting() string {
	if s.script.Greeting != "" {
		return s.script.Greeting
	}
	return "* OK [CAPABILITY " + s.capabilities() + "] ready\r\n"
}

func (s *ScriptServer) capabilities() string {
	if s.script.Capabilities != "" {
		return s.script.Capabilities
	}
	return "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR"
}

// Peer is one connection of a scripted server.
type Peer struct {
	// Server is whose connection it is.
	Server *ScriptServer

	conn   net.Conn
	lines  *bufio.Reader
	done   chan struct{}
	write  sync.Mutex
	number int             // of the connection, from 1
	told   uint32          // UIDNEXT when the connection was last told of mails
	word   <-chan struct{} // closed at the first announcement after that
}

// Send writes text as it is; what cannot be sent is forgotten.
func (p *Peer) Send(text string) {
	p.write.Lock()
	defer p.write.Unlock()
	_, _ = p.conn.Write([]byte(text)) // the reader sees the end
}

// Line reads a line; it returns false at the end of the connection.
func (p *Peer) Line() (string, bool) {
	line, err := p.lines.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err == nil
}

// Command reads a command; it returns false at the end of the connection.
func (p *Peer) Command() (tag, command, args string, ok bool) {
	line, ok := p.Line()
	tag, rest, _ := strings.Cut(line, " ")
	command, args, _ = strings.Cut(rest, " ")
	return tag, strings.ToUpper(command), args, ok
}

// Hang answers nothing until the connection ends.
func (p *Peer) Hang() {
	for {
		if _, ok := p.Line(); !ok {
			return
		}
	}
}

// Close closes the connection.
func (p *Peer) Close() { _ = p.conn.Close() }

// Buffered counts the bytes that came along with the last line.
func (p *Peer) Buffered() int { return p.lines.Buffered() }

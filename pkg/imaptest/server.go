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

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// Protection is how a Server's connections are protected.
type Protection int

// The protections.
const (
	TLS      Protection = iota // from the first byte
	StartTLS                   // by STARTTLS; no login before it
	Plain                      // not at all
)

// Options set up a Server. The zero value is a TLS server on a free loopback port.
type Options struct {
	// Address is where to listen, a free port of 127.0.0.1 when empty.
	Address string
	// Protection is how connections are protected.
	Protection Protection
	// Certificate is what the server shows; one for localhost and 127.0.0.1 is made
	// when it is empty.
	Certificate Certificate
}

// Server is an IMAP server in memory. It is safe for concurrent use.
type Server struct {
	options     Options
	listener    net.Listener
	imap        *imapserver.Server
	done        chan struct{}
	uidValidity uint32

	mu       sync.Mutex
	accounts map[string]*account
	conns    map[*imapserver.Conn]struct{}
	logins   int

	master, masterPassword string // of who may act for all others
}

type account struct {
	password string
	user     *imapmemserver.User
	watchers map[chan struct{}]struct{} // one per session in IDLE
}

// NewServer starts a server without users.
func NewServer(options Options) (*Server, error) {
	if options.Address == "" {
		options.Address = "127.0.0.1:0"
	}
	if options.Certificate.Cert == nil {
		var err error
		if options.Certificate, err = NewCertificate(24*time.Hour, "localhost", "127.0.0.1"); err != nil {
			return nil, err
		}
	}
	config, err := options.Certificate.ServerTLS()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("listening for IMAP: %w", err)
	}
	s := &Server{
		options: options, listener: l, done: make(chan struct{}),
		uidValidity: uint32(time.Now().Unix()), // fits until 2106, as UIDVALIDITY must
		accounts:    make(map[string]*account),
		conns:       make(map[*imapserver.Conn]struct{}),
	}
	s.imap = imapserver.New(s.imapOptions(config))
	if options.Protection == TLS {
		l = tls.NewListener(l, config)
	}
	go func() {
		defer close(s.done)
		_ = s.imap.Serve(l) // ends with Close
	}()
	return s, nil
}

func (s *Server) imapOptions(config *tls.Config) *imapserver.Options {
	caps := imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapSASLIR: {}, imap.CapUIDPlus: {}, imap.CapESearch: {}}
	o := &imapserver.Options{
		Caps:         caps,
		Logger:       silent{},
		InsecureAuth: s.options.Protection == Plain,
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			s.mu.Lock()
			s.conns[c] = struct{}{}
			s.mu.Unlock()
			return &session{server: s, conn: c}, &imapserver.GreetingData{}, nil
		},
	}
	if s.options.Protection == StartTLS {
		o.TLSConfig = config
	}
	return o
}

// Addr is where the server listens, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// CA is the certificate to trust, in PEM.
func (s *Server) CA() []byte { return s.options.Certificate.Cert }

// AddUser adds a user with an empty INBOX, or changes the password of one.
func (s *Server) AddUser(name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[name]; a != nil {
		a.password = password
		return nil
	}
	user := imapmemserver.NewUser(name, password)
	if err := user.Create("INBOX", nil); err != nil {
		return fmt.Errorf("creating INBOX of %q: %w", name, err)
	}
	s.accounts[name] = &account{password: password, user: user, watchers: make(map[chan struct{}]struct{})}
	return nil
}

// SetMaster names the user who may act for all others by PLAIN, or changes the
// password; sessions go on.
func (s *Server) SetMaster(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.master, s.masterPassword = name, password
}

// Deliver puts a mail into a user's INBOX; sessions in IDLE hear of it at once.
func (s *Server) Deliver(user string, message []byte) (uid uint32, err error) {
	s.mu.Lock()
	a := s.accounts[user]
	s.mu.Unlock()
	if a == nil {
		return 0, fmt.Errorf("delivering to %q: no such user", user)
	}
	data, err := s.add(a, "INBOX", literal{bytes.NewReader(message)}, &imap.AppendOptions{Time: time.Now()})
	if err != nil {
		return 0, fmt.Errorf("delivering to %q: %w", user, err)
	}
	return uint32(data.UID), nil
}

// add puts a mail into a mailbox and wakes the user's sessions in IDLE. It reads
// the mail without the lock: the network may be slow to bring it.
func (s *Server) add(a *account, mailbox string, mail imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	data, err := a.user.Append(mailbox, mail, options)
	if err != nil {
		return nil, err
	}
	data.UIDValidity = s.uidValidity
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range a.watchers {
		select {
		case w <- struct{}{}:
		default: // it has not looked since the last word
		}
	}
	return data, nil
}

// silent takes what go-imap would log: a test's server has nobody to tell.
type silent struct{}

// Printf implements [imapserver.Logger].
func (silent) Printf(string, ...any) {}

type literal struct{ *bytes.Reader }

// Size implements [imap.LiteralReader]; the embedded one is the full size too.
func (l literal) Size() int64 { return l.Reader.Size() }

// Logins counts the successful logins.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Connections counts those that are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drop closes all connections without a word, as a crash does.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.NetConn().Close() // gone is gone
	}
}

// Close stops the server and all connections.
func (s *Server) Close() error {
	err := s.imap.Close()
	<-s.done
	s.Drop()
	return err
}

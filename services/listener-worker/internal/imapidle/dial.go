// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// maxGreeting bounds what is read before the IMAP client takes over.
const maxGreeting = 16 << 10

// greeted is a protected connection whose server has said hello.
type greeted struct {
	conn  net.Conn // TLS or TCP
	tcp   net.Conn
	ahead []byte // the greeting, for the IMAP client to read again
}

// dial connects and protects the connection as the store says.
func (b *Backend) dial(ctx context.Context, store *mailv1.MailStore, timeout time.Duration) (*greeted, error) {
	mode := store.GetTlsMode()
	var cfg *tls.Config
	switch mode {
	case mailv1.TlsMode_TLS_MODE_IMPLICIT, mailv1.TlsMode_TLS_MODE_STARTTLS:
		var err error
		if cfg, err = b.tlsConfig(store); err != nil {
			return nil, err
		}
	case mailv1.TlsMode_TLS_MODE_PLAIN:
	default:
		return nil, &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store's TLS mode is not set; nothing is sent in clear text"}
	}
	dialer := net.Dialer{Timeout: timeout, KeepAliveConfig: keepAlive, Control: setUserTimeout}
	tcp, err := dialer.DialContext(ctx, "tcp", store.GetAddress())
	if err != nil {
		return nil, classifyDial(timeout, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	defer stop()

	g := &greeted{conn: tcp, tcp: tcp}
	if failure := g.hello(ctx, mode, cfg, timeout); failure != nil {
		_ = tcp.Close() // the failure is what counts
		return nil, failure
	}
	return g, nil
}

func (g *greeted) hello(ctx context.Context, mode mailv1.TlsMode, cfg *tls.Config, timeout time.Duration) *mailbox.Failure {
	if mode == mailv1.TlsMode_TLS_MODE_IMPLICIT {
		if failure := g.protect(ctx, cfg, timeout); failure != nil {
			return failure
		}
	}
	_ = g.conn.SetDeadline(time.Now().Add(timeout)) // an error shows in the next read
	line, err := g.readLine()
	if err != nil {
		return classifyWire(stepGreeting, timeout, "", err)
	}
	if failure := checkGreeting(line); failure != nil {
		return failure
	}
	if mode != mailv1.TlsMode_TLS_MODE_STARTTLS {
		return nil
	}
	return g.startTLS(ctx, cfg, timeout, len(line))
}

// protect turns the connection into a TLS one.
func (g *greeted) protect(ctx context.Context, cfg *tls.Config, timeout time.Duration) *mailbox.Failure {
	_ = g.tcp.SetDeadline(time.Now().Add(timeout)) // an error shows in the handshake
	conn := tls.Client(g.tcp, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return classifyTLS(timeout, err)
	}
	g.conn = conn
	return nil
}

// startTLS asks for TLS (RFC 9051 section 6.2.1). Whatever the server said in
// clear text is forgotten, and anything sent along with its answer refused: it
// could be another's words.
func (g *greeted) startTLS(ctx context.Context, cfg *tls.Config, timeout time.Duration, hello int) *mailbox.Failure {
	g.ahead = g.ahead[hello:]
	_ = g.conn.SetDeadline(time.Now().Add(timeout)) // an error shows in the write
	if _, err := g.conn.Write([]byte("S STARTTLS\r\n")); err != nil {
		return classifyWire(stepStartTLS, timeout, "", err)
	}
	for {
		line, err := g.readLine()
		if err != nil {
			return classifyWire(stepStartTLS, timeout, "", err)
		}
		rest := g.ahead[len(line):]
		g.ahead = rest
		if bytes.HasPrefix(line, []byte("* ")) {
			continue
		}
		if !hasWords(line, "S", "OK") {
			return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store refuses STARTTLS: " + plain(string(line))}
		}
		if len(rest) > 0 {
			return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "something was slipped in before TLS began"}
		}
		break
	}
	if failure := g.protect(ctx, cfg, timeout); failure != nil {
		return failure
	}
	g.ahead = []byte("* OK protected\r\n") // the client expects a greeting, and asks for capabilities anew
	return nil
}

// readLine returns the next line, read but still ahead.
func (g *greeted) readLine() ([]byte, error) {
	buf := make([]byte, 1024)
	for {
		if end := bytes.IndexByte(g.ahead, '\n'); end >= 0 {
			return g.ahead[:end+1], nil
		}
		if len(g.ahead) > maxGreeting {
			return nil, errFlood
		}
		n, err := g.conn.Read(buf)
		g.ahead = append(g.ahead, buf[:n]...)
		if n == 0 && err != nil {
			if len(g.ahead) > 0 && !isTimeout(err) {
				err = errNotIMAP // words, but never a line
			}
			return nil, err
		}
	}
}

// checkGreeting takes OK; what else a greeting can be ends the attempt.
func checkGreeting(line []byte) *mailbox.Failure {
	switch {
	case hasWords(line, "*", "OK"):
		return nil
	case hasWords(line, "*", "BYE"):
		text := strings.TrimSpace(string(line))[len("* BYE"):]
		failure := classifyStatus(stepGreeting, &imap.Error{Type: imap.StatusResponseTypeBye, Text: text})
		failure.Reason = "mail store said goodbye instead of a greeting: " + plain(text)
		return failure
	case hasWords(line, "*", "PREAUTH"):
		return &mailbox.Failure{Class: mailbox.ClassGarbage, Reason: "mail store takes us for someone logged in already (PREAUTH)"}
	default:
		return classifyWire(stepGreeting, 0, "", errNotIMAP)
	}
}

func hasWords(line []byte, words ...string) bool {
	got := strings.Fields(string(line))
	for i, word := range words {
		if i >= len(got) || !strings.EqualFold(got[i], word) {
			return false
		}
	}
	return true
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// connect makes a TCP connection.
func connect(ctx context.Context, address string, timeout time.Duration) (net.Conn, *mailbox.Failure) {
	signs := newLifeSigns()
	dialer := net.Dialer{Timeout: timeout, KeepAliveConfig: signs.keepAlive, Control: signs.control}
	tcp, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, classifyDial(timeout, err)
	}
	return tcp, nil
}

// hello protects the connection as the store says and takes the greeting.
func (c *conn) hello(ctx context.Context, mode mailv1.TlsMode, config *tls.Config) *mailbox.Failure {
	if mode == mailv1.TlsMode_TLS_MODE_IMPLICIT {
		if failure := c.protect(ctx, config); failure != nil {
			return failure
		}
	}
	c.begin(stepGreeting, smallAnswer)
	if failure := c.greeting(); failure != nil {
		return failure
	}
	if mode == mailv1.TlsMode_TLS_MODE_STARTTLS {
		return c.startTLS(ctx, config)
	}
	return nil
}

// protect turns the connection into a TLS one.
func (c *conn) protect(ctx context.Context, config *tls.Config) *mailbox.Failure {
	_ = c.socket.SetDeadline(time.Now().Add(c.timeout)) // an error shows in the handshake
	stream := tls.Client(c.socket, config)
	if err := stream.HandshakeContext(ctx); err != nil {
		return classifyTLS(c.timeout, err)
	}
	c.source.metrics.handshake(stream.ConnectionState().DidResume)
	c.stream = stream
	return nil
}

// greeting takes the greeting (RFC 9051 section 7.1); what else it can be than OK ends
// the attempt.
func (c *conn) greeting() *mailbox.Failure {
	for {
		ok, err := c.next()
		p := &c.response
		if err == nil && !ok {
			if err = c.read(c.deadline); errors.Is(err, io.EOF) && !c.reader.Empty() {
				err = &notIMAP{} // words, but never a line
			}
		}
		if err != nil {
			return c.classify(c.fail(err))
		}
		if !ok {
			continue
		}
		switch {
		case p.Kind == wire.Untagged && p.Is("OK"), p.Kind == wire.Tagless && p.Is("OK"):
			if status := p.Status(); status.HasCode("CAPABILITY") {
				c.caps.take(status.Arg)
			}
			return nil
		case p.Kind == wire.Untagged && p.Is("BYE"):
			status := c.statusOf(p, p.Status())
			failure := classifyStatus(stepGreeting, status)
			failure.Reason = withText("mail store said goodbye instead of a greeting", status)
			return failure
		case p.Kind == wire.Untagged && p.Is("PREAUTH"):
			return &mailbox.Failure{Class: mailbox.ClassGarbage, Reason: "mail store takes us for someone logged in already (PREAUTH)"}
		case p.Kind != wire.Untagged:
			return c.classify(c.fail(&notIMAP{c.plain(string(p.Text()))}))
		}
		c.skipped(oddUnknown, p) // a line before the greeting
	}
}

// startTLS asks for TLS (RFC 9051 section 6.2.1). Whatever the server said in
// clear text is forgotten, and anything sent along with its answer refused: it
// could be another's words.
func (c *conn) startTLS(ctx context.Context, config *tls.Config) *mailbox.Failure {
	c.begin(stepStartTLS, smallAnswer)
	cmd := &command{text: "STARTTLS"}
	if err := c.ask(nil, cmd); err != nil {
		return c.classify(err)
	}
	if cmd.err != nil {
		return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store refuses STARTTLS: " + cmd.err.Error(), Err: cmd.err}
	}
	if !c.reader.Empty() {
		return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "something was slipped in before TLS began"}
	}
	c.caps, c.words = capabilities{}, ""
	return c.protect(ctx, config)
}

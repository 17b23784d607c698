// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestClassifyStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		step, code, text string
		typ              string
		want             mailbox.Class
		reason           string
	}{
		{stepLogin, "AUTHENTICATIONFAILED", "Authentication failed.", "NO", mailbox.ClassRefused, "mail store refused the credential: [AUTHENTICATIONFAILED] Authentication failed."},
		{stepLogin, "AUTHORIZATIONFAILED", "", "NO", mailbox.ClassRefused, "mail store refused the credential: [AUTHORIZATIONFAILED]"},
		{stepLogin, "EXPIRED", "", "NO", mailbox.ClassRefused, "mail store refused the credential: [EXPIRED]"},
		{stepLogin, "authenticationfailed", "no", "NO", mailbox.ClassRefused, "mail store refused the credential: [authenticationfailed] no"},
		{stepLogin, "AUTHENTICATIONFAILED", "Too many simultaneous connections", "NO", mailbox.ClassLimit, "mail store limits us at LOGIN: [AUTHENTICATIONFAILED] Too many simultaneous connections"},
		{stepLogin, "LIMIT", "", "NO", mailbox.ClassLimit, "mail store limits us at LOGIN: [LIMIT]"},
		{stepLogin, "THROTTLED", "", "NO", mailbox.ClassLimit, "mail store limits us at LOGIN: [THROTTLED]"},
		{stepExamine, "INUSE", "", "NO", mailbox.ClassLimit, "mail store limits us at EXAMINE: [INUSE]"},
		{stepLogin, "UNAVAILABLE", "later", "NO", mailbox.ClassUnavailable, "mail store refused LOGIN: [UNAVAILABLE] later"},
		{stepLogin, "CONTACTADMIN", "", "NO", mailbox.ClassUnavailable, "mail store refused LOGIN: [CONTACTADMIN]"},
		{stepLogin, "PRIVACYREQUIRED", "", "NO", mailbox.ClassTLS, "mail store refused LOGIN: [PRIVACYREQUIRED]"},
		{stepLogin, "", "too many connections", "NO", mailbox.ClassLimit, "mail store limits us at LOGIN: too many connections"},
		{stepLogin, "", "LOGIN failed", "NO", mailbox.ClassUnexplained, "mail store refused the login without a reason code: LOGIN failed"},
		{stepLogin, "ALERT", "look here", "NO", mailbox.ClassUnexplained, "mail store refused the login without a reason code: [ALERT] look here"},
		{stepLogin, "", "what?", "BAD", mailbox.ClassGarbage, "mail store does not understand LOGIN: what?"},
		{stepExamine, "NONEXISTENT", "no INBOX", "NO", mailbox.ClassUnavailable, "mail store refused EXAMINE: [NONEXISTENT] no INBOX"},
		{stepFetch, "", "a\x00b\x1b[31m\nc", "NO", mailbox.ClassUnavailable, "mail store refused FETCH: a b [31m c"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %s %s", test.step, test.code, test.text), func(t *testing.T) {
			t.Parallel()
			got := classifyStatus(test.step, status(test.typ, test.code, test.text))
			if got.Class != test.want || got.Reason != test.reason {
				t.Errorf("got %v, %q\nwant %v, %q", got.Class, got.Reason, test.want, test.reason)
			}
		})
	}
}

func TestBlameMaster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code, text, typ string
		want            mailbox.Class
		reason          string
	}{
		{"AUTHENTICATIONFAILED", "no", "NO", mailbox.ClassMasterRefused, "mail store refused the master user: [AUTHENTICATIONFAILED] no"},
		{"AUTHORIZATIONFAILED", "", "NO", mailbox.ClassMasterRefused, "mail store refused the master user: [AUTHORIZATIONFAILED]"},
		{"", "LOGIN failed", "NO", mailbox.ClassMasterRefused, "mail store refused the master user: LOGIN failed"},
		{"UNAVAILABLE", "later", "NO", mailbox.ClassUnavailable, "mail store refused LOGIN: [UNAVAILABLE] later"},
		{"AUTHENTICATIONFAILED", "too many", "NO", mailbox.ClassLimit, "mail store limits us at LOGIN: [AUTHENTICATIONFAILED] too many"},
		{"", "what?", "BAD", mailbox.ClassGarbage, "mail store does not understand LOGIN: what?"},
	} {
		refused := status(test.typ, test.code, test.text)
		if got := blameMaster(classifyStatus(stepLogin, refused)); got.Class != test.want || got.Reason != test.reason || !errors.Is(got, error(refused)) {
			t.Errorf("got %v, %q\nwant %v, %q", got.Class, got.Reason, test.want, test.reason)
		}
	}
}

func TestClassifyWire(t *testing.T) {
	t.Parallel()
	tests := []struct {
		step, bye string
		err       error
		want      mailbox.Class
		reason    string
	}{
		{stepGreeting, "", io.EOF, mailbox.ClassClosed, "mail store closed the connection at once, before its greeting"},
		{stepHandshake, "", syscall.ECONNRESET, mailbox.ClassClosed, "mail store closed the connection at once, before its greeting"},
		{stepGreeting, "", os.ErrDeadlineExceeded, mailbox.ClassTimeout, "no greeting within 30s"},
		{stepHandshake, "", os.ErrDeadlineExceeded, mailbox.ClassTimeout, "no end of the TLS handshake within 30s"},
		{stepLogin, "", os.ErrDeadlineExceeded, mailbox.ClassTimeout, "no answer to LOGIN within 30s"},
		{stepWaiting, "", syscall.ETIMEDOUT, mailbox.ClassLost, "mail store cannot be reached any more"},
		{stepGreeting, "", &notIMAP{}, mailbox.ClassGarbage, "mail store sent something that is not IMAP instead of a greeting"},
		{stepWaiting, "", &notIMAP{}, mailbox.ClassGarbage, "mail store sent something that is not IMAP"},
		{stepFetch, "", errFlood, mailbox.ClassGarbage, "mail store sent more than any honest answer has during FETCH"},
		{stepWaiting, "", io.EOF, mailbox.ClassLost, "mail store closed the connection"},
		{stepStatus, "", io.ErrUnexpectedEOF, mailbox.ClassLost, "mail store closed the connection during STATUS"},
		{stepWaiting, "shutting down", io.EOF, mailbox.ClassLost, "mail store said goodbye: shutting down"},
		{stepLogin, "Too many connections", io.EOF, mailbox.ClassLimit, "mail store said goodbye during LOGIN: Too many connections"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel()
			got := classifyWire(test.step, 30*time.Second, test.bye, test.err)
			if got.Class != test.want || got.Reason != test.reason || !errors.Is(got, test.err) {
				t.Errorf("got %v, %q\nwant %v, %q", got.Class, got.Reason, test.want, test.reason)
			}
		})
	}
}

func TestClassifyDialAndTLS(t *testing.T) {
	t.Parallel()
	dial := func(err error) *mailbox.Failure { return classifyDial(30*time.Second, err) }
	handshake := func(err error) *mailbox.Failure { return classifyTLS(30*time.Second, err) }
	tests := []struct {
		classify func(error) *mailbox.Failure
		err      error
		want     mailbox.Class
		reason   string
	}{
		{dial, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, mailbox.ClassUnavailable, "mail store cannot be reached: connection refused"},
		{dial, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, mailbox.ClassUnavailable, "mail store cannot be reached: no such host"},
		{dial, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, mailbox.ClassTimeout, "no connection to the mail store within 30s"},
		{handshake, tls.RecordHeaderError{Msg: "no TLS"}, mailbox.ClassTLS, "mail store does not speak TLS where it should"},
		{handshake, tls.AlertError(40), mailbox.ClassTLS, "TLS with the mail store failed: tls: handshake failure"},
		{handshake, io.EOF, mailbox.ClassClosed, "mail store closed the connection at once, before its greeting"},
		{handshake, os.ErrDeadlineExceeded, mailbox.ClassTimeout, "no end of the TLS handshake within 30s"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel()
			if got := test.classify(test.err); got.Class != test.want || got.Reason != test.reason {
				t.Errorf("got %v, %q\nwant %v, %q", got.Class, got.Reason, test.want, test.reason)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	if got := []rune(plain(strings.Repeat("x", 2000))); len(got) != maxServerText+1 {
		t.Errorf("a long text became %d runes", len(got))
	}
	if got := plain(" a\x00b\x1b[2J  c\n"); got != "a b [2J c" {
		t.Errorf("controls became %q", got)
	}
}

// status is a status response as it is copied from the wire.
func status(kind, code, text string) *statusError {
	return &statusError{kind: kind, code: plain(code), text: plain(text)}
}

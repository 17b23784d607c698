// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Steps of a session, as people call them.
const (
	stepGreeting   = "greeting"
	stepHandshake  = "TLS handshake"
	stepStartTLS   = "STARTTLS"
	stepCapability = "CAPABILITY"
	stepLogin      = "LOGIN"
	stepExamine    = "EXAMINE"
	stepStatus     = "STATUS"
	stepNoop       = "NOOP"
	stepIdle       = "IDLE"
	stepSearch     = "SEARCH"
	stepFetch      = "FETCH"
	stepLogout     = "LOGOUT"
	stepWaiting    = "waiting"
)

// classify turns the error of a command into what it means. A status response
// speaks for itself; else the first error of the wire is the cause, because the
// client's own error mostly is a consequence in words.
func (w *wire) classify(err error) *mailbox.Failure {
	w.mu.Lock()
	step, limit, cause, bye := w.step, w.limit, w.err, w.bye
	w.mu.Unlock()

	if status, ok := errors.AsType[*imap.Error](err); ok {
		return classifyStatus(step, status)
	}
	if cause == nil {
		cause = errNotIMAP
	}
	return classifyWire(step, limit, bye, cause)
}

// classifyWire says what the end of a connection means.
func classifyWire(step string, limit time.Duration, bye string, err error) *mailbox.Failure {
	fail := func(class mailbox.Class, format string, args ...any) *mailbox.Failure {
		return &mailbox.Failure{Class: class, Reason: fmt.Sprintf(format, args...), Err: err}
	}
	var timeout net.Error
	switch {
	case errors.Is(err, errFlood):
		return fail(mailbox.ClassGarbage, "mail store sent more than any honest answer has%s", during(step))
	case errors.Is(err, errNotIMAP):
		return fail(mailbox.ClassGarbage, "mail store sent something that is not IMAP%s", during(step))
	case errors.As(err, &timeout) && timeout.Timeout():
		return fail(mailbox.ClassTimeout, "%s within %s", missing(step), limit)
	case bye != "" && speaksOfLimit(bye):
		return fail(mailbox.ClassLimit, "mail store said goodbye%s: %s", during(step), bye)
	case bye != "":
		return fail(mailbox.ClassLost, "mail store said goodbye%s: %s", during(step), bye)
	case step == stepGreeting || step == stepHandshake:
		return fail(mailbox.ClassClosed, "mail store closed the connection at once, before its greeting")
	default:
		return fail(mailbox.ClassLost, "mail store closed the connection%s", during(step))
	}
}

func during(step string) string {
	switch step {
	case stepGreeting:
		return " instead of a greeting"
	case stepWaiting:
		return ""
	default:
		return " during " + step
	}
}

func missing(step string) string {
	switch step {
	case stepGreeting:
		return "no greeting"
	case stepHandshake:
		return "no end of the TLS handshake"
	case stepWaiting:
		return "no word from the mail store"
	default:
		return "no answer to " + step
	}
}

// classifyStatus reads a NO, BAD or BYE by its response code (RFC 9051 section
// 7.1, RFC 5530).
func classifyStatus(step string, e *imap.Error) *mailbox.Failure {
	class, verb := mailbox.ClassUnavailable, "refused "+step
	switch code := strings.ToUpper(string(e.Code)); code {
	case "LIMIT", "INUSE", "THROTTLED", "OVERQUOTA", "TOOMANY":
		class, verb = mailbox.ClassLimit, "limits us at "+step
	case "UNAVAILABLE", "SERVERBUG", "CONTACTADMIN":
	case "PRIVACYREQUIRED":
		class = mailbox.ClassTLS
	case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED":
		class, verb = mailbox.ClassRefused, "refused the credential"
		if speaksOfLimit(e.Text) { // some providers say so (FAILURES: never on first sight)
			class, verb = mailbox.ClassLimit, "limits us at "+step
		}
	default:
		switch {
		case e.Type == imap.StatusResponseTypeBad:
			class, verb = mailbox.ClassGarbage, "does not understand "+step
		case speaksOfLimit(e.Text):
			class, verb = mailbox.ClassLimit, "limits us at "+step
		case step == stepLogin:
			class, verb = mailbox.ClassDoubtful, "refused the login without a reason code"
		}
	}
	return &mailbox.Failure{Class: class, Reason: withText("mail store "+verb, e), Err: e}
}

// blameMaster is what a refused login means when it was the master user's: its
// password is the operator's to mend, or there is no such mailbox, and most servers
// tell neither from the other.
func blameMaster(f *mailbox.Failure) *mailbox.Failure {
	status, ok := errors.AsType[*imap.Error](f.Err)
	if !ok || f.Class != mailbox.ClassRefused && f.Class != mailbox.ClassDoubtful {
		return f
	}
	return &mailbox.Failure{
		Class: mailbox.ClassMasterRefused, Reason: withText("mail store refused the master user", status), Err: f.Err,
	}
}

func withText(reason string, e *imap.Error) string {
	text := plain(e.Text)
	if e.Code != "" {
		text = strings.TrimSpace("[" + plain(string(e.Code)) + "] " + text)
	}
	if text == "" {
		return reason
	}
	return reason + ": " + text
}

// speaksOfLimit looks for the words servers use for "later" where they have sent
// no code, or one that hides it; there is nothing else to go by.
func speaksOfLimit(text string) bool {
	text = strings.ToLower(text)
	for _, word := range []string{
		"too many", "connection limit", "maximum number of conn", "rate limit", "throttl",
		"temporar", "try again later", "unavailable", "internal error", "overload", "queue full",
	} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// classifyDial says why there is no connection.
func classifyDial(limit time.Duration, err error) *mailbox.Failure {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &mailbox.Failure{Class: mailbox.ClassTimeout, Reason: fmt.Sprintf("no connection to the mail store within %s", limit), Err: err}
	}
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store cannot be reached: " + plain(rootCause(err)), Err: err}
}

// rootCause is the shortest honest text: "connection refused" without addresses.
func rootCause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// classifyTLS says why a connection could not be protected. What is no TLS
// matter, such as a peer that went away, is the wire's.
func classifyTLS(limit time.Duration, err error) *mailbox.Failure {
	var timeout net.Error
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &header):
		return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store does not speak TLS where it should", Err: err}
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return classifyWire(stepHandshake, limit, "", err)
	default:
		return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "TLS with the mail store failed: " + plain(err.Error()), Err: err}
	}
}

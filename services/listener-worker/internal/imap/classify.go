// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
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
	stepSelect     = "SELECT"
	stepStatus     = "STATUS"
	stepMetadata   = "METADATA"
	stepNoop       = "NOOP"
	stepIdle       = "IDLE"
	stepSearch     = "SEARCH"
	stepFetch      = "FETCH"
	stepLogout     = "LOGOUT"
	stepWaiting    = "waiting"
)

// statusError is a NO, BAD or BYE.
type statusError struct {
	kind, code, text string // plain, without any credential
}

// Error implements error.
func (e *statusError) Error() string { return strings.TrimSpace(e.kind + " " + e.words()) }

// notIMAP is the error for what is not IMAP.
type notIMAP struct{ excerpt string }

// Error implements error.
func (e *notIMAP) Error() string { return strings.TrimRight("not IMAP: "+e.excerpt, ": ") }

var (
	errFlood = wire.ErrFlood
	errBye   = errors.New("goodbye")
)

// statusOf copies a status response.
func (c *conn) statusOf(p *wire.Response, s wire.Status) *statusError {
	code := string(s.Code)
	if len(s.Arg) > 0 {
		code += " " + string(s.Arg)
	}
	return &statusError{kind: strings.ToUpper(string(p.Name)), code: c.plain(code), text: c.plain(string(s.Text))}
}

// isStatus tells whether a failure is what a mail store has answered.
func isStatus(f *mailbox.Failure) bool {
	_, ok := errors.AsType[*statusError](f.Err)
	return ok
}

// withCode is a status response for people.
func withCode(s wire.Status) string {
	if len(s.Code) == 0 {
		return string(s.Text)
	}
	return "[" + string(s.Code) + "] " + string(s.Text)
}

// classify turns the error of an exchange into what it means. A status response speaks
// for itself.
func (c *conn) classify(err error) *mailbox.Failure {
	if status, ok := errors.AsType[*statusError](err); ok {
		return classifyStatus(c.step, status)
	}
	failure := classifyWire(c.step, c.timeout, strings.TrimSpace(c.bye), err)
	if c.words != "" && c.bye == "" && c.step != stepWaiting {
		failure.Reason += "; the mail store said: " + c.words
	}
	failure.UID = c.single
	return failure
}

// classifyWire says what the end of a connection means.
func classifyWire(step string, limit time.Duration, bye string, err error) *mailbox.Failure {
	fail := func(class mailbox.Class, format string, args ...any) *mailbox.Failure {
		return &mailbox.Failure{Class: class, Reason: fmt.Sprintf(format, args...), Err: err}
	}
	var timeout net.Error
	var garbage *notIMAP
	switch {
	case errors.Is(err, errFlood):
		return fail(mailbox.ClassGarbage, "mail store sent more than any honest answer has%s", during(step))
	case errors.As(err, &garbage):
		return fail(mailbox.ClassGarbage, "mail store sent something that is not IMAP%s%s", during(step), after(garbage.excerpt))
	case step == stepWaiting && errors.As(err, &timeout) && timeout.Timeout(): // keep-alive's
		return fail(mailbox.ClassLost, "mail store cannot be reached any more")
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

func after(excerpt string) string {
	if excerpt == "" {
		return ""
	}
	return ": " + excerpt
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
	default:
		return "no answer to " + step
	}
}

// classifyStatus reads a NO, BAD or BYE by its response code (RFC 9051 section
// 7.1, RFC 5530).
func classifyStatus(step string, e *statusError) *mailbox.Failure {
	class, verb := mailbox.ClassUnavailable, "refused "+step
	switch code := strings.ToUpper(firstWord(e.code)); code {
	case "LIMIT", "INUSE", "THROTTLED", "OVERQUOTA", "TOOMANY":
		class, verb = mailbox.ClassLimit, "limits us at "+step
	case "UNAVAILABLE", "SERVERBUG", "CONTACTADMIN":
	case "PRIVACYREQUIRED":
		class = mailbox.ClassTLS
	case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED":
		class, verb = mailbox.ClassRefused, "refused the credential"
		if speaksOfLimit(e.text) { // some providers say so (FAILURES: never on first sight)
			class, verb = mailbox.ClassLimit, "limits us at "+step
		}
	default:
		switch {
		case e.kind == "BAD" && (step == stepExamine || step == stepSelect):
			// It knows the command; it cannot do it now (Office 365: "not connected").
		case e.kind == "BAD":
			class, verb = mailbox.ClassGarbage, "does not understand "+step
		case speaksOfLimit(e.text):
			class, verb = mailbox.ClassLimit, "limits us at "+step
		case step == stepLogin:
			class, verb = mailbox.ClassUnexplained, "refused the login without a reason code"
		}
	}
	return &mailbox.Failure{Class: class, Reason: withText("mail store "+verb, e), Err: e}
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// blameMaster is what a refused login means when it was the master user's: its
// password is the operator's to mend, or there is no such mailbox, and most servers
// tell neither from the other.
func blameMaster(f *mailbox.Failure) *mailbox.Failure {
	status, ok := errors.AsType[*statusError](f.Err)
	if !ok || f.Class != mailbox.ClassRefused && f.Class != mailbox.ClassUnexplained {
		return f
	}
	return &mailbox.Failure{
		Class: mailbox.ClassMasterRefused, Reason: withText("mail store refused the master user", status), Err: f.Err,
	}
}

// words is what it says, with its code.
func (e *statusError) words() string {
	if e.code == "" {
		return e.text
	}
	return strings.TrimSpace("[" + e.code + "] " + e.text)
}

func withText(reason string, e *statusError) string {
	text := e.words()
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

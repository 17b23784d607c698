// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// checkLoginWay tells, before the credential is asked for, whether there is a way to use
// it.
func (c *conn) checkLoginWay(mode mailv1.TlsMode) *mailbox.Failure {
	switch {
	case c.caps.plain, !c.caps.noLogin:
		return nil
	case mode == mailv1.TlsMode_TLS_MODE_PLAIN:
		return &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store allows no login without TLS"}
	default:
		return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store offers neither PLAIN nor LOGIN"}
	}
}

func classifyCredential(err error) *mailbox.Failure {
	class := mailbox.ClassCredentials
	reason := "credential cannot be asked for"
	if fault.KindOf(err) == fault.NotFound {
		class, reason = mailbox.ClassNoCredential, "no credential is stored"
	}
	if public, ok := errors.AsType[*fault.Error](err); ok {
		reason += ": " + public.Message
	}
	return &mailbox.Failure{Class: class, Reason: reason, Err: err}
}

// login sends the credential: by PLAIN, which can act for another user, before LOGIN. A
// mail store that refuses the one has never taken it may take the other, and only when it
// does not is the credential at fault.
func (c *conn) login(credential mailbox.Login) *mailbox.Failure {
	other := credential.AuthorizationID != "" && credential.AuthorizationID != credential.Username
	byLogin := !c.caps.noLogin && !other
	if !c.caps.plain && !byLogin {
		return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store offers no PLAIN, which a master user needs"}
	}
	var failure *mailbox.Failure
	if !c.caps.plain || byLogin && c.host.plainBroken.Load() {
		failure = c.loginLogin(credential)
	} else {
		failure = c.loginEither(credential, byLogin)
	}
	if failure != nil && credential.AuthorizationID != "" {
		failure = blameMaster(failure)
	}
	return failure
}

// loginEither logs in by PLAIN, or by LOGIN where that may be the way.
func (c *conn) loginEither(credential mailbox.Login, byLogin bool) *mailbox.Failure {
	failure := c.loginPlain(credential)
	if failure == nil {
		c.host.plainWorks.Store(true)
		return nil
	}
	if c.failed != nil || !byLogin || c.host.plainWorks.Load() || !mayBeTheWay(failure) {
		return failure
	}
	if c.loginLogin(credential) != nil {
		return failure // the first has told why
	}
	c.host.plainBroken.Store(true)
	return nil
}

// mayBeTheWay tells whether a refusal may be of the way to log in, and not of who does.
func mayBeTheWay(f *mailbox.Failure) bool {
	switch f.Class {
	case mailbox.ClassRefused, mailbox.ClassUnexplained, mailbox.ClassGarbage:
		return true
	default:
		return false
	}
}

// loginPlain logs in by AUTHENTICATE PLAIN (RFC 4616), along with the command where the
// mail store allows that (RFC 4959).
func (c *conn) loginPlain(credential mailbox.Login) *mailbox.Failure {
	c.begin(stepLogin, smallAnswer)
	line := base64.StdEncoding.EncodeToString([]byte(credential.AuthorizationID + "\x00" + credential.Username + "\x00" + credential.Password.Reveal()))
	cmd := &command{text: "AUTHENTICATE PLAIN"}
	if c.caps.saslIR {
		cmd.text += " " + line
	}
	asked := 0
	return c.loginBy(cmd, func() []byte {
		if asked++; asked > 1 {
			return []byte("*\r\n") // it wants more than there is (RFC 9051 section 6.2.2)
		}
		return []byte(line + "\r\n")
	})
}

// loginLogin logs in by LOGIN, with literals for what cannot be quoted.
func (c *conn) loginLogin(credential mailbox.Login) *mailbox.Failure {
	c.begin(stepLogin, smallAnswer)
	parts := []string{"LOGIN "}
	for i, word := range []string{credential.Username, credential.Password.Reveal()} {
		if i > 0 {
			parts[len(parts)-1] += " "
		}
		switch {
		case quotable(word):
			parts[len(parts)-1] += quote(word)
		case c.caps.plus:
			parts[len(parts)-1] += "{" + strconv.Itoa(len(word)) + "+}\r\n" + word
		default:
			parts[len(parts)-1] += "{" + strconv.Itoa(len(word)) + "}"
			parts = append(parts, word)
		}
	}
	return c.loginBy(&command{text: parts[0]}, func() []byte {
		if parts = parts[1:]; len(parts) == 0 {
			return []byte("\r\n")
		}
		return []byte(parts[0] + "\r\n")
	})
}

func (c *conn) loginBy(cmd *command, more func() []byte) *mailbox.Failure {
	c.caps = capabilities{plain: c.caps.plain, saslIR: c.caps.saslIR, plus: c.caps.plus, noLogin: c.caps.noLogin, id: c.caps.id}
	x := &exchange{commands: []*command{cmd}, more: more}
	err := c.send(x.commands)
	if err == nil {
		err = c.await(x)
	}
	if err == nil && cmd.err != nil {
		err = cmd.err
	}
	if err == nil {
		return nil
	}
	return c.classify(err)
}

// quotable tells whether a word can be a quoted string everywhere.
func quotable(s string) bool {
	if len(s) > 512 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

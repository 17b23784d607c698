// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// open logs in and opens the folder read-only.
func (c *conn) open(ctx context.Context, login listen.LoginFunc, mode mailv1.TlsMode) (listen.Opening, *mailbox.Failure) {
	var opening listen.Opening
	caps := c.client.Caps()
	if caps == nil {
		return opening, c.wire.classify(nil)
	}
	way, failure := loginWay(caps, mode)
	if failure != nil {
		return opening, failure
	}
	credential, err := login(ctx)
	if err != nil {
		return opening, classifyCredential(err)
	}
	opening.Version = credential.Version
	if failure := c.login(way, credential); failure != nil {
		return opening, failure
	}
	opening.Waits, opening.End, failure = c.openFolder()
	if failure != nil {
		return opening, failure
	}
	c.rest()
	return opening, nil
}

type way int

const (
	bySASLPlain way = iota
	byLogin
)

// loginWay picks PLAIN, which can act for another user, before LOGIN.
func loginWay(caps imap.CapSet, mode mailv1.TlsMode) (way, *mailbox.Failure) {
	switch {
	case caps.Has("AUTH=PLAIN"):
		return bySASLPlain, nil
	case !caps.Has("LOGINDISABLED"):
		return byLogin, nil
	case mode == mailv1.TlsMode_TLS_MODE_PLAIN:
		return 0, &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store allows no login without TLS"}
	default:
		return 0, &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store offers neither PLAIN nor LOGIN"}
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

// login sends the credential; nothing of it is left in what it returns, even
// where a server echoes it.
func (c *conn) login(by way, credential mailbox.Login) *mailbox.Failure {
	c.wire.begin(stepLogin, c.timeout, smallAnswer)
	password := credential.Password.Reveal()
	var err error
	switch {
	case by == bySASLPlain:
		err = c.client.Authenticate(sasl.NewPlainClient(credential.AuthorizationID, credential.Username, password))
	case credential.AuthorizationID != "" && credential.AuthorizationID != credential.Username:
		return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store offers no PLAIN, which a master user needs"}
	default:
		err = c.client.Login(credential.Username, password).Wait()
	}
	if err == nil {
		return nil
	}
	if status, ok := errors.AsType[*imap.Error](err); ok && password != "" {
		status.Text = strings.ReplaceAll(status.Text, password, "[redacted]")
	}
	failure := c.wire.classify(err)
	if credential.AuthorizationID != "" {
		failure = blameMaster(failure)
	}
	return failure
}

// openFolder opens the folder with EXAMINE, which changes nothing in it, not even
// \Recent. Capabilities are asked for along with it: those of before the login
// may be fewer, and the client cannot tell which ones it has.
func (c *conn) openFolder() (waits machine.Waits, end mailbox.End, failure *mailbox.Failure) {
	c.wire.begin(stepExamine, c.timeout, smallAnswer)
	asked := c.client.Capability()
	if _, failure = c.examine(); failure != nil {
		return waits, end, failure
	}
	caps, err := asked.Wait()
	if err != nil {
		return waits, end, c.wire.classify(err)
	}
	c.wire.begin(stepStatus, c.timeout, smallAnswer)
	end, failure = c.status(func() error { return nil })
	if caps.Has(imap.CapIdle) { // RFC 9051 makes it part of IMAP4rev2, which Has knows
		waits = machine.ByIdle
	}
	return waits, end, failure
}

func (c *conn) examine() (mailbox.End, *mailbox.Failure) {
	c.wire.begin(stepExamine, c.timeout, smallAnswer)
	data, err := c.client.Select(mailbox.Inbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return mailbox.End{}, c.wire.classify(err)
	}
	return mailbox.End{Folder: mailbox.Inbox, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext)}, nil
}

// status asks where the folder ends. STATUS of the open folder is discouraged
// (RFC 9051 section 6.3.11) but is the one cheap command that tells; where it is
// refused the folder is opened again.
func (c *conn) status(ended func() error) (mailbox.End, *mailbox.Failure) {
	if c.noStatus {
		if err := ended(); err != nil {
			return mailbox.End{}, c.wire.classify(err)
		}
		end, failure := c.examine()
		return checked(end, failure)
	}
	cmd := c.client.Status(mailbox.Inbox, &imap.StatusOptions{UIDNext: true, UIDValidity: true, NumUnseen: true})
	if err := ended(); err != nil {
		return mailbox.End{}, c.wire.classify(err)
	}
	data, err := cmd.Wait()
	if _, refused := errors.AsType[*imap.Error](err); refused {
		c.noStatus = true
		return c.status(ended)
	}
	if err != nil {
		return mailbox.End{}, c.wire.classify(err)
	}
	end := mailbox.End{Folder: mailbox.Inbox, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext)}
	if data.NumUnseen != nil {
		end.Unseen = *data.NumUnseen
	}
	return checked(end, nil)
}

// checked refuses a folder whose end cannot be compared.
func checked(end mailbox.End, failure *mailbox.Failure) (mailbox.End, *mailbox.Failure) {
	if failure == nil && (end.UIDNext == 0 || end.UIDValidity == 0) {
		failure = &mailbox.Failure{Class: mailbox.ClassGarbage, Reason: "mail store does not tell UIDNEXT and UIDVALIDITY of the folder"}
	}
	return end, failure
}

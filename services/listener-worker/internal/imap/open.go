// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"context"
	"crypto/tls"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// open logs in and opens the folder read-only.
func (c *conn) open(ctx context.Context, mode mailv1.TlsMode, config *tls.Config, login listen.LoginFunc) (listen.Opening, *mailbox.Failure) {
	var opening listen.Opening
	if failure := c.meet(ctx, mode, config); failure != nil {
		return opening, failure.OfStore()
	}
	credential, err := login(ctx)
	if err != nil {
		return opening, classifyCredential(err)
	}
	opening.Version = credential.Version
	c.redactor = redactor{credential.Password.Reveal()}
	if failure := c.login(credential); failure != nil {
		return opening, failure
	}
	c.kept = keptAfter
	if failure := c.openFolder(); failure != nil {
		return opening, failure
	}
	if failure := c.status(&command{text: statusCommand}); failure != nil {
		return opening, failure
	}
	c.view.looked(c.end.next)
	c.canIdle = c.caps.idle
	opening.End = c.end.told()
	if c.canIdle {
		opening.Waits = machine.ByIdle
	}
	return opening, nil
}

// meet does what comes before the mailbox is named, and is the same for all of them.
func (c *conn) meet(ctx context.Context, mode mailv1.TlsMode, config *tls.Config) *mailbox.Failure {
	if failure := c.hello(ctx, mode, config); failure != nil {
		return failure
	}
	if failure := c.askCapabilities(); failure != nil {
		return failure
	}
	return c.checkLoginWay(mode)
}

// askCapabilities asks what the mail store can do, unless its greeting has said so. One
// that will not tell is taken for a simple one.
func (c *conn) askCapabilities() *mailbox.Failure {
	if c.caps.known {
		return nil
	}
	c.begin(stepCapability, smallAnswer)
	if err := c.ask(nil, &command{text: "CAPABILITY"}); err != nil {
		return c.classify(err)
	}
	return nil
}

// openFolder opens the folder with EXAMINE, which changes nothing in it, not even
// \Recent. What the mail store can do is asked for along with it where the login has not
// told: before it, it may have been less.
func (c *conn) openFolder() *mailbox.Failure {
	var along []*command
	if !c.caps.known {
		along = append(along, &command{text: "CAPABILITY"})
	}
	if c.caps.id || c.host.wantsID.Load() {
		along = append(along, &command{text: idCommand})
	}
	identified := len(along) > 0 && along[len(along)-1].text == idCommand
	failure := c.examine(along...)
	if failure == nil || failure.Err == nil || !isStatus(failure) {
		return failure
	}
	if !identified { // some open folders only to those who say who they are (RFC 2971)
		if again := c.examine(&command{text: idCommand}); again == nil {
			c.host.wantsID.Store(true)
			return nil
		}
		if c.failed != nil {
			return c.classify(c.failed)
		}
	}
	if second := c.selectFolder(); second == nil {
		c.host.wantsSelect.Store(true)
		return nil
	} else if c.failed != nil {
		return second
	}
	return failure
}

const idCommand = `ID ("name" "mailpush")`

// examine opens the folder, as the host wants it, along with other commands.
func (c *conn) examine(along ...*command) *mailbox.Failure {
	if c.host.wantsSelect.Load() {
		return c.enter(stepSelect, along...)
	}
	return c.enter(stepExamine, along...)
}

// selectFolder opens the folder with SELECT. Reads do not set \Seen all the same.
func (c *conn) selectFolder(along ...*command) *mailbox.Failure {
	return c.enter(stepSelect, along...)
}

// enter opens the folder and takes in where it ends.
func (c *conn) enter(step string, along ...*command) *mailbox.Failure {
	c.begin(step, smallAnswer)
	cmd := &command{text: step + " " + mailbox.Inbox}
	var told end
	var validity uint64
	err := c.ask(func(p *wire.Response) {
		if !p.Is("OK") {
			return
		}
		switch status := p.Status(); {
		case status.HasCode("UIDNEXT"):
			told.next = uid(status.Arg)
		case status.HasCode("UIDVALIDITY"):
			validity, _ = wire.Number(status.Arg)
		}
	}, append(along, cmd)...)
	if err == nil && cmd.err != nil {
		err = cmd.err
	}
	if err != nil {
		return c.classify(err)
	}
	var failure *mailbox.Failure
	if told.validity, failure = uidValidity(validity); failure != nil {
		return failure
	}
	c.view.opened(told.next, told.validity == c.end.validity)
	told.unseen = c.end.unseen
	c.end = told
	return nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/trials/internal/rig"
)

// oldPassword is one that Dovecot refuses.
const oldPassword = "the password of last year"

// RefusedLogin has a second client of a user bring a password that Dovecot refuses, and
// names what is not as it should be: the client is told so in Dovecot's words, and nothing
// else changes; the first client's mail is pushed as before, also after a new login. With
// the right password the second client is subscribed beside the first. The login of a user
// who has none is kept, suspended.
func (w *World) RefusedLogin(ctx context.Context) (wrong []error, err error) {
	at, err := newOrigin("127.0.0.14")
	if err != nil {
		return nil, err
	}
	defer at.goAway()
	g := newGroup(ours, "login", 1)
	user := g.users[0]
	if err := w.dovecot.AddUser(user, rig.Password); err != nil {
		return nil, err
	}
	if err := w.subscribe(ctx, dovecotStore, g, at.url); err != nil {
		return nil, err
	}
	if err := w.awaitIdle(ctx, settle, g, 1); err != nil {
		return nil, err
	}
	w.tell("login: a second client of %s shows an old password", user)
	second := g.request(dovecotStore, user, at.url("second"))
	second.ClientId, second.Account.Password = "second", oldPassword
	_, refused := w.subscribeOne(ctx, second)
	wrong = append(wrong, refusedAs(refused), w.stays(ctx, at, g))

	second.Account.Password = rig.Password
	if _, err := w.subscribeOne(ctx, second); err != nil {
		return nil, err
	}
	wrong = append(wrong, w.pushed(ctx, at, user, 3, user, "second"), w.firstLogin(ctx, at))
	w.remember(g)
	w.tell("login: %v", cause(wrong))
	return wrong, nil
}

// cause is what is wrong, in one.
func cause(wrong []error) string {
	if err := errors.Join(wrong...); err != nil {
		return err.Error()
	}
	return "nothing has changed for the first client"
}

// refusedAs expects the answer to a login that was refused.
func refusedAs(err error) error {
	switch {
	case connect.CodeOf(err) != connect.CodeFailedPrecondition:
		return fmt.Errorf("subscribing with a login that is refused: %w, want failed_precondition", orNil(err))
	case !strings.Contains(err.Error(), "Authentication failed"):
		return fmt.Errorf("subscribing with a login that is refused: it does not name the mail store's words: %w", err)
	case strings.Contains(err.Error(), oldPassword):
		return errors.New("the answer to Subscribe quotes the password")
	}
	return nil
}

// orNil is an error to tell of, where there may be none.
func orNil(err error) error {
	if err == nil {
		return errors.New("it is accepted")
	}
	return err
}

// stays expects that the first client has its subscription, its listener, its login and
// its mail: the sessions end, and a new one begins with what is stored.
func (w *World) stays(ctx context.Context, at *origin, g *group) error {
	user := g.users[0]
	found, err := w.listed(ctx, g)
	if err != nil {
		return err
	}
	if len(found[user]) != 1 {
		return fmt.Errorf("%d subscriptions are listed, want that of the first client", len(found[user]))
	}
	if err := w.pushed(ctx, at, user, 1, user); err != nil {
		return err
	}
	w.dovecot.Drop()
	return errors.Join(w.pushed(ctx, at, user, 2, user), w.awaitIdle(ctx, settle, g, 1))
}

// pushed delivers a mail to a user of Dovecot, its nth, and expects endpoints to accept it.
func (w *World) pushed(ctx context.Context, at *origin, user string, nth uint32, paths ...string) error {
	if err := w.dovecot.Deliver(user, []byte("From: Zoe <zoe@example.org>\r\nSubject: hello\r\n\r\nHello.\r\n")); err != nil {
		return err
	}
	return await(ctx, fmt.Sprintf("mail %d at %v", nth, paths), settle, func(context.Context) error {
		if n := at.lack(nth, paths); n > 0 {
			return fmt.Errorf("%d have not accepted it", n)
		}
		return nil
	})
}

// firstLogin expects that the login of a user who has none is kept, suspended, although it
// is refused.
func (w *World) firstLogin(ctx context.Context, at *origin) error {
	g := newGroup(ours, "first-login", 1)
	user := g.users[0]
	if err := w.dovecot.AddUser(user, rig.Password); err != nil {
		return err
	}
	request := g.request(dovecotStore, user, at.url(user))
	request.Account.Password = oldPassword
	if _, err := w.subscribeOne(ctx, request); !errors.Is(err, errNoListener) {
		return fmt.Errorf("subscribing with a first login that is refused: %w, want it stored", orNil(err))
	}
	return w.suspended(ctx, request)
}

// suspended expects the listener of a user to wait for another login.
func (w *World) suspended(ctx context.Context, request *pushv1.SubscribeRequest) error {
	g := &group{tenant: request.GetContextId(), users: []string{request.GetUserId()}}
	return w.awaitState(ctx, settle, g, 1, mailv1.ListenerState_LISTENER_STATE_SUSPENDED)
}

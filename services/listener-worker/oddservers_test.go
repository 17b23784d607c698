// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/imaptest/odd"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// servedByAWorker are some of the odd servers, of every kind that a worker with the times
// of production gets through in seconds.
func servedByAWorker() []string {
	return []string{
		"framing: nothing odd",
		"envelope: nine fields, and nobody asked, all",
		"value: a date as mails have it, first",
		"damage: the range of a mail ends in NO, the mail is shown",
		"merged: flags of the mail come first, in the middle",
		"absence: shown at the fourth look, in the middle",
		"deaf: STATUS stands still",
		"second way: EXAMINE is unknown",
		"framing: lower case",
		"untagged: all sorts, in IDLE",
		"numbers: a jump of 700 million",
		"unused: a flag in UTF-8, at EXAMINE",
		"nesting: in IDLE, in 2 FETCH (BODYSTRUCTURE",
	}
}

// oddMailbox is a user's mailbox at an odd server.
type oddMailbox struct {
	is     odd.Server
	server *imaptest.OddServer
	user   *mailv1.User

	mu      sync.Mutex
	told    []odd.Mail
	changed chan struct{} // closed and replaced when something was told
}

// One worker, a mail store for each odd server: what the stores do is the concern of
// their own mailboxes.
func TestAWorkerServesOddServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boxes := make(map[string]*oddMailbox)
	for i, name := range servedByAWorker() {
		box := newOddMailbox(t, name, fmt.Sprint(100+i))
		boxes[box.user.GetUserId()] = box
		w.registry.stores = append(w.registry.stores, box.store())
	}
	address, _ := w.startWorker()
	id, client := w.joined(), w.admin(address)
	for id, box := range boxes {
		if subscription, err := w.subscriptionAt(address, box); err != nil {
			t.Errorf("%s: %v", box.is.Name, err)
			delete(boxes, id)
		} else {
			w.registry.put(box.user, box.user.GetUserId(), subscription)
		}
	}
	w.plan(id, 1, 10, all()...)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	go w.handOut(boxes, ended)
	t.Run("each", func(t *testing.T) {
		t.Parallel()
		for _, box := range boxes {
			t.Run(box.is.Name, func(t *testing.T) {
				t.Parallel()
				untilListening(t, client, box.user, true)
				box.serve(t)
			})
		}
	})
}

func newOddMailbox(t *testing.T, name, userID string) *oddMailbox {
	t.Helper()
	is, err := odd.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	server, err := imaptest.NewOdd(is.Odd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return &oddMailbox{
		is: is, server: server, user: &mailv1.User{ContextId: "1", UserId: userID}, changed: make(chan struct{}),
	}
}

func (b *oddMailbox) store() *mailv1.MailStore {
	return &mailv1.MailStore{
		Name: b.user.GetUserId(), Address: b.server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, Backend: "imapidle",
	}
}

// subscriptionAt is one to an odd server's mailbox, which begins at its end.
func (w *world) subscriptionAt(address string, box *oddMailbox) (*registryv1.Subscription, error) {
	w.t.Helper()
	baseline, err := w.admin(address).GetBaseline(w.t.Context(), connect.NewRequest(&workerBaseline{User: box.user, Store: box.store()}))
	if err != nil {
		return nil, err
	}
	return &registryv1.Subscription{
		Id: "sub_" + box.user.GetUserId(), Target: webhookAt(w.hook.url), SecretVersion: 1, Confirmed: true, Cursors: baseline.Msg.GetCursors(),
	}, nil
}

// handOut gives each mailbox what was pushed for it.
func (w *world) handOut(boxes map[string]*oddMailbox, ended <-chan struct{}) {
	for {
		select {
		case push := <-w.hook.got:
			if box := boxes[push.body.Data.UserID]; box != nil {
				box.take(push)
			}
		case <-ended:
			return
		}
	}
}

func (b *oddMailbox) take(push received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, event := range push.body.Data.Events {
		b.told = append(b.told, odd.Mail{UID: event.UID, Subject: event.Subject})
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// serve plays the server, and one honest mail more, which comes after all others.
func (b *oddMailbox) serve(t *testing.T) {
	t.Helper()
	told := func(uid uint32) { b.untilTold(t, uid) }
	for _, step := range b.is.Steps {
		if err := step.Play(t.Context(), b.server, told); err != nil {
			t.Fatal(err)
		}
	}
	for _, mail := range b.is.Want {
		told(mail.UID)
	}
	last := b.server.Arrive(imaptest.OddMail{})
	told(last)
	b.mu.Lock()
	defer b.mu.Unlock()
	want := slices.Concat(b.is.Want, []odd.Mail{{UID: last}})
	if len(b.told) != len(want) {
		t.Fatalf("pushed %+v, want %+v", b.told, want)
	}
	for i, mail := range b.told {
		if mail.UID != want[i].UID || want[i].Subject != "" && mail.Subject != want[i].Subject {
			t.Errorf("pushed %+v, want %+v", mail, want[i])
		}
	}
}

func (b *oddMailbox) untilTold(t *testing.T, uid uint32) {
	t.Helper()
	for late := time.After(patience); ; {
		b.mu.Lock()
		told, changed := b.told, b.changed
		b.mu.Unlock()
		for _, mail := range told {
			if mail.UID == uid {
				return
			}
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("mail %d was not pushed; pushed: %+v", uid, told)
		}
	}
}

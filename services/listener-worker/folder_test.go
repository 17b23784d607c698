// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

// listens starts a worker that listens for a user with one subscription, which begins
// at the end of the mailbox.
func (w *world) listens(user *mailv1.User) (client workerv1connect.WorkerServiceClient, id string, stop func()) {
	w.t.Helper()
	address, stop := w.startWorker()
	id, client = w.joined(), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(w.t, client, user, true)
	return client, id, stop
}

// told is what the next push that the endpoint accepts says.
type told struct {
	Type                string
	UIDValidity, Cursor uint32
	Subjects            []string
}

func (w *world) told() told {
	w.t.Helper()
	push := receive(w.t, "push", w.hook.got)
	for push.refused {
		push = receive(w.t, "push", w.hook.got)
	}
	data := push.body.Data
	out := told{Type: push.body.Type, UIDValidity: data.UIDValidity, Cursor: data.Cursor}
	for _, event := range data.Events {
		out.Subjects = append(out.Subjects, event.Subject)
	}
	return out
}

// tells waits for the next push that the endpoint accepts; its UIDVALIDITY may be any.
func (w *world) tells(kind string, cursor uint32, subjects ...string) (uidValidity uint32) {
	w.t.Helper()
	got := w.told()
	if diff := cmp.Diff(told{kind, got.UIDValidity, cursor, subjects}, got); diff != "" {
		w.t.Fatalf("push (-want +got):\n%s", diff)
	}
	return got.UIDValidity
}

// stored waits until the cursor is stored, and finds that nothing was pushed meanwhile
// that nobody has looked at.
func (w *world) stored(uid uint32) (uidValidity uint32) {
	w.t.Helper()
	cursor := receive(w.t, "commit", w.registry.committed).GetCursor()
	for cursor.GetUid() != uid {
		cursor = receive(w.t, "commit", w.registry.committed).GetCursor()
	}
	for range len(w.hook.got) {
		if push := <-w.hook.got; !push.refused {
			w.t.Errorf("pushed as well: %+v", push)
		}
	}
	return cursor.GetUidValidity()
}

// vanished is the metric of mails that were gone before they were pushed.
func (w *world) vanished() float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "mailpush_worker_vanished_total" {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	w.t.Fatal("nobody counts what has vanished")
	return 0
}

func TestMailExpungedBeforeDeliveryIsCountedAndPassedOver(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.listens(d.user)
	d.hook.busyFor(everything)
	d.deliver("one")
	receive(t, "first try", d.hook.got)
	d.deliver("two", "three")
	d.expunge(2)
	d.hook.busyFor(subject("two")) // a session may see the mail for a moment more
	d.tells("mail:new", 1, "one")
	d.tells("mail:new", 3, "three")
	d.stored(3)
	if n := d.vanished(); n != 1 {
		t.Errorf("%v mails are counted as vanished", n)
	}
}

// The range that was tried is tried again as it was, with what is left in it.
func TestMailExpungedBetweenTriesIsPassedOver(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	_, id, stop := d.listens(d.user)
	stop()
	d.deliver("one", "two", "three")
	d.hook.busyFor(everything)
	d.startWorker()
	d.plan(d.joined(id), 2, 11, all()...)
	if push := receive(t, "first try", d.hook.got); len(push.body.Data.Events) != 3 {
		t.Fatalf("first tried: %+v", push)
	}
	d.expunge(2)
	d.hook.busyFor(subject("two")) // a session may see the mail for a moment more
	d.tells("mail:new", 3, "one", "three")
	d.stored(3)
	if n := d.vanished(); n != 1 {
		t.Errorf("%v mails are counted as vanished", n)
	}
}

func TestAllMailExpungedBeforeDeliveryIsPassedOver(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.listens(d.user)
	d.hook.busyFor(everything)
	d.deliver("one")
	receive(t, "first try", d.hook.got)
	d.deliver("two", "three")
	d.expunge(1, 2, 3)
	d.stored(3) // nobody waits for the endpoint to work
	d.hook.busyFor(nil)
	d.deliver("new")
	d.tells("mail:new", 4, "new")
	d.stored(4)
	if n := d.vanished(); n != 3 {
		t.Errorf("%v mails are counted as vanished", n)
	}
}

func TestNewUIDValidityIsOneReset(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.deliver("old", "older")
	d.listens(d.user)
	d.deliver("last")
	before := d.tells("mail:new", 3, "last")
	d.stored(3)
	if err := d.server.Renumber(d.user.GetUserId()); err != nil {
		t.Fatal(err)
	}
	d.server.Drop()
	after := d.tells("mailbox:reset", 3)
	if stored := d.stored(3); after == before || stored != after {
		t.Errorf("UIDVALIDITY %d became %d, stored is %d", before, after, stored)
	}
	d.deliver("new")
	if got := d.tells("mail:new", 4, "new"); got != after {
		t.Errorf("UIDVALIDITY %d is %d now", after, got)
	}
	d.stored(4)
}

func TestRenamedInboxGoesOn(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.deliver("old", "older")
	d.listens(d.user)
	d.renameInbox("Old")
	d.deliver("new")
	d.tells("mail:new", 3, "new")
	d.stored(3)
}

// onScript has the world's users on a scripted mail store.
func (w *world) onScript(on map[string]func(p *imaptest.Peer, tag, args string)) *imaptest.ScriptServer {
	w.t.Helper()
	server, err := imaptest.NewScript(imaptest.Script{On: on})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = server.Close() })
	w.registry.stores = []*mailv1.MailStore{{
		Name: "main", Address: server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, Backend: "imapidle",
	}}
	return server
}

// Other servers than Dovecot make a new INBOX when the old one is renamed.
func TestInboxMadeAnewIsOneReset(t *testing.T) {
	t.Parallel()
	w, user := newWorld(t), &mailv1.User{ContextId: "1", UserId: "249"}
	server := w.onScript(nil)
	server.Folder.Add(3)
	w.listens(user)
	server.Folder.Reset(2)
	server.Folder.Announce()
	if got := w.tells("mailbox:reset", 0); got != 2 {
		t.Errorf("reset to UIDVALIDITY %d", got)
	}
	w.stored(0)
	server.Folder.Deliver()
	w.tells("mail:new", 1, "mail 1")
	w.stored(1)
}

// untilTrouble waits until a listener stays away, and says why with this text.
func untilTrouble(t *testing.T, client workerv1connect.WorkerServiceClient, user *mailv1.User, text string) {
	t.Helper()
	var last *workerv1.Listener
	for late := time.After(patience); ; {
		response, err := client.GetListeners(t.Context(), connect.NewRequest(&workerv1.GetListenersRequest{Users: []*mailv1.User{user}}))
		if err == nil && len(response.Msg.GetListeners()) == 1 {
			last = response.Msg.GetListeners()[0]
			if last.GetState() == mailv1.ListenerState_LISTENER_STATE_BACKOFF && strings.Contains(last.GetLastError(), text) {
				return
			}
		}
		select { // the RPC has no way to wait for a change
		case <-late:
			t.Fatalf("the listener says %v, want %q", last, text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestFolderThatIsGoneForAWhileIsServedWhenItIsBack(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	w, user := newWorld(t), &mailv1.User{ContextId: "1", UserId: "249"}
	server := w.onScript(map[string]func(p *imaptest.Peer, tag, args string){
		"EXAMINE": func(p *imaptest.Peer, tag, args string) {
			if gone.Load() {
				p.Send(tag + " NO [NONEXISTENT] no such mailbox\r\n")
				return
			}
			p.Answer(tag, "EXAMINE", args)
		},
	})
	server.Folder.Add(3)
	client, _, _ := w.listens(user)
	gone.Store(true)
	server.Drop()
	untilTrouble(t, client, user, "mail store refused EXAMINE: [NONEXISTENT] no such mailbox")
	server.Folder.Add(2)
	gone.Store(false)
	w.tells("mail:new", 5, "mail 4", "mail 5")
	w.stored(5)
}

// A server that hands out UIDs anew under the same UIDVALIDITY is broken, and exists.
func TestUIDsThatGoBackAreOneReset(t *testing.T) {
	t.Parallel()
	w, user := newWorld(t), &mailv1.User{ContextId: "1", UserId: "249"}
	server := w.onScript(nil)
	server.Folder.Add(5)
	_, id, stop := w.listens(user)
	server.Folder.Rewind(2)
	server.Folder.Announce()
	w.tells("mailbox:reset", 2)
	w.stored(2)
	stop()
	w.startWorker()
	w.plan(w.joined(id), 2, 11, all()...)
	server.Folder.Deliver()
	w.tells("mail:new", 3, "mail 3")
	w.stored(3)
}

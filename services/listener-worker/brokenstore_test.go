// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

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
	open := func(command string) func(p *imaptest.Peer, tag, args string) {
		return func(p *imaptest.Peer, tag, args string) {
			if gone.Load() {
				p.Send(tag + " NO [NONEXISTENT] no such mailbox\r\n")
				return
			}
			p.Answer(tag, command, args)
		}
	}
	server := w.onScript(map[string]func(p *imaptest.Peer, tag, args string){
		"EXAMINE": open("EXAMINE"), "SELECT": open("SELECT"),
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

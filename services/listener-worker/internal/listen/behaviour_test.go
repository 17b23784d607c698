// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// listenToScript starts a loop on a scripted server.
func listenToScript(t *testing.T, script imaptest.Script) (*rig, *imaptest.ScriptServer) {
	t.Helper()
	server := scripted(t, script)
	r := start(t, quick())
	r.creds.set(user("1"), "anna", "pw", 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	return r, server
}

func TestPollsWhereIdleIsMissingOrRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]imaptest.Script{
		"not offered":  {Capabilities: "IMAP4rev1 AUTH=PLAIN SASL-IR"},
		"answered BAD": {On: on("IDLE", no("BAD unknown command"))},
		"answered NO":  {On: on("IDLE", no("NO not today"))},
		"LOGIN and STATUS refused": {
			Capabilities: "IMAP4rev1",
			On:           on("STATUS", no("BAD not of a selected mailbox")),
		},
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, server := listenToScript(t, script)
			status := r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_POLLING)
			if status.LastError == "" {
				t.Error("no reason for polling")
			}
			uid := server.Folder.Add(1)
			r.untilHead(t, uid+1)
			if n := server.Accepted(); n != 1 {
				t.Errorf("%d connections for one listener", n)
			}
		})
	}
}

// A server may keep quiet of what came between its answer to EXAMINE and IDLE.
func TestMailNeverAnnouncedIsFoundSoonAfterEnteringIdle(t *testing.T) {
	t.Parallel()
	var once atomic.Bool
	script := imaptest.Script{On: on("IDLE", func(p *imaptest.Peer, tag, args string) {
		if !once.Swap(true) {
			p.Server.Folder.Add(1)
		}
		p.Answer(tag, "IDLE", args)
	})}
	r, _ := listenToScript(t, script)
	r.untilHead(t, 2)
}

func TestAServerThatNeverSpeaksIsAskedAtEachRefresh(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	tuning := quick()
	tuning.IdleRefresh = 100 * time.Millisecond
	r := start(t, tuning)
	r.creds.set(user("1"), "anna", "pw", 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	until(t, "some refreshes", func() bool { return server.Commands("IDLE") > 3 })
	uid := server.Folder.Add(1) // not announced
	r.untilHead(t, uid+1)
	if n := server.Accepted(); n != 1 {
		t.Errorf("%d connections for one listener", n)
	}
}

func TestWordsInEveryPhaseCount(t *testing.T) {
	t.Parallel()
	tests := map[string]func(p *imaptest.Peer, tag string, add func()){
		"EXISTS before the continuation": func(p *imaptest.Peer, _ string, add func()) {
			add()
			p.Send("* 1 EXISTS\r\n+ idling\r\n")
			p.Idle()
		},
		"EXISTS with the continuation, in split bytes": func(p *imaptest.Peer, _ string, add func()) {
			for _, b := range []byte("+ idling\r\n* 1 EXI") {
				p.Send(string(b))
			}
			add()
			p.Send("STS\r\n")
			p.Idle()
		},
		"EXISTS in the answer to DONE": func(p *imaptest.Peer, _ string, add func()) {
			p.Send("+ idling\r\n")
			p.Idle()
			add()
			p.Send("* 1 EXISTS\r\n")
		},
		"EXISTS and EXPUNGE of another in one packet": func(p *imaptest.Peer, _ string, add func()) {
			p.Send("+ idling\r\n")
			add()
			p.Send("* 2 EXISTS\r\n* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* OK Still here\r\n")
			p.Idle()
		},
	}
	for name, idle := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var once atomic.Bool
			r, _ := listenToScript(t, imaptest.Script{On: on("IDLE", func(p *imaptest.Peer, tag, args string) {
				if once.Swap(true) {
					p.Answer(tag, "IDLE", args)
					return
				}
				idle(p, tag, func() { p.Server.Folder.Add(1) })
				p.Send(tag + " OK done\r\n")
			})})
			r.untilHead(t, 2)
			r.loop.Fetch(user("1"), 1, mailbox.Envelopes)
			if batch := receive(t, "batch", r.sink.batches); len(batch.Mails) != 1 || batch.Mails[0].UID != 1 {
				t.Errorf("batch = %+v", batch)
			}
		})
	}
}

func TestALongCatchUpComesInBoundedFetches(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	server.Folder.Add(70_000)
	server.Folder.Expunge(51, 69_750) // a gap wider than one look
	r := start(t, quick())
	r.creds.set(user("1"), "anna", "pw", 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	receive(t, "head", r.sink.heads)
	var got []uint32
	fetches := 0
	for from := uint32(1); from <= 70_000; fetches++ {
		r.loop.Fetch(user("1"), from, mailbox.Envelopes)
		batch := receive(t, "batch", r.sink.batches)
		if batch.Err != nil || batch.From != from || batch.Upto < from || len(batch.Mails) > 100 {
			t.Fatalf("batch from %d: %d mails, upto %d, %v", from, len(batch.Mails), batch.Upto, batch.Err)
		}
		for _, mail := range batch.Mails {
			got = append(got, mail.UID)
		}
		from = batch.Upto + 1
	}
	if len(got) != 300 || got[0] != 1 || got[50] != 69_751 || got[299] != 70_000 {
		t.Errorf("%d mails: %v", len(got), got)
	}
	if fetches > 6 {
		t.Errorf("%d fetches", fetches)
	}
}

func TestAFetchOfNothingIsAnsweredWithoutTheMailStore(t *testing.T) {
	t.Parallel()
	r, server := listenToScript(t, imaptest.Script{})
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	r.loop.Fetch(user("1"), 1, mailbox.Envelopes)
	if batch := receive(t, "batch", r.sink.batches); batch.Err != nil || batch.Upto != 0 || batch.From != 1 {
		t.Errorf("batch = %+v", batch)
	}
	if n := server.Commands("UID"); n != 0 {
		t.Errorf("%d UID commands", n)
	}
	r.loop.Fetch(user("nobody"), 1, mailbox.Envelopes)
	if batch := receive(t, "batch", r.sink.batches); batch.Err == nil {
		t.Errorf("batch of nobody = %+v", batch)
	}
}

func TestAHugeLiteralFailsTheFetchOnly(t *testing.T) {
	t.Parallel()
	r, server := listenToScript(t, imaptest.Script{On: on("UID", func(p *imaptest.Peer, _, _ string) {
		p.Send("* 1 FETCH (UID 1 ENVELOPE (NIL {4294967295}\r\n")
		chunk := strings.Repeat("x", 1<<20)
		for range 64 {
			p.Send(chunk)
		}
	})})
	server.Folder.Add(1)
	receive(t, "head", r.sink.heads)
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	uid := server.Folder.Deliver()
	r.untilHead(t, uid+1)
	r.loop.Fetch(user("1"), 1, mailbox.Envelopes)
	batch := receive(t, "batch", r.sink.batches)
	if batch.Err == nil || !strings.Contains(batch.Err.Error(), "more than any honest answer") {
		t.Errorf("batch = %+v", batch)
	}
	receive(t, "head after reconnect", r.sink.heads)
}

func TestUIDValidityChangeIsAHead(t *testing.T) {
	t.Parallel()
	r, server := listenToScript(t, imaptest.Script{})
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	server.Folder.Reset(77)
	server.Folder.Deliver()
	receiveThat(t, "head of the new UIDVALIDITY", r.sink.heads, func(h head) bool { return h.end.UIDValidity == 77 })
}

func TestCredentialsThatCannotBeAskedForAreTriedAgain(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	r := start(t, quick())
	r.creds.fail(errors.New("vault is down"))
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	r.untilError(t, user("1"), "credential cannot be asked for")
	r.creds.set(user("1"), "anna", "pw", 1)
	r.creds.fail(nil)
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
}

func TestNoCredentialSuspends(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	r := start(t, quick())
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 3})
	if s := receive(t, "suspension", r.sink.suspended); s.version != 3 || !strings.Contains(s.reason, "no credential is stored") {
		t.Errorf("suspension = %+v", s)
	}
}

func TestUnexplainedRefusalsSuspendAtTheThird(t *testing.T) {
	t.Parallel()
	r, server := listenToScript(t, imaptest.Script{On: both("AUTHENTICATE", "LOGIN", no("NO LOGIN failed."))})
	s := receive(t, "suspension", r.sink.suspended)
	if want := "mail store refused the login without a reason code: LOGIN failed."; s.reason != want {
		t.Errorf("reason = %q", s.reason)
	}
	if n := server.Commands("AUTHENTICATE"); n != 3 {
		t.Errorf("%d logins", n)
	}
}

func TestRefusedMasterUsersDoNotStormTheMailStore(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{On: both("AUTHENTICATE", "LOGIN", no("NO [AUTHENTICATIONFAILED] no"))})
	// Each listener is due again at once, the master user in an hour.
	r := start(t, machine.Settings{
		MinBackoff: time.Hour, MaxBackoff: 10 * time.Hour,
		Jitter: func(time.Duration) time.Duration { return time.Millisecond },
	})
	const n = 10
	began := make(map[string]time.Time)
	for i := range n {
		u := user(fmt.Sprint(i))
		r.creds.setMaster(u, "anna", "root", "wrong")
		r.loop.Put(mailbox.Listening{User: u, Store: plainStore(server.Addr()), CredentialVersion: 1})
		r.untilError(t, u, "mail store refused the master user: [AUTHENTICATIONFAILED] no")
		began[u.ID] = r.status(u).Since
	}
	for id, since := range began {
		until(t, "another attempt", func() bool { return r.status(user(id)).Since.After(since) })
	}
	if got := server.Commands("AUTHENTICATE"); got > n || got == 0 { // it counts as down before all have tried
		t.Errorf("%d logins of %d listeners", got, n)
	}
	// A login of the user's own is no concern of the master user's.
	r.creds.set(user("0"), "anna", "pw", 2)
	r.loop.Put(mailbox.Listening{User: user("0"), Store: plainStore(server.Addr()), CredentialVersion: 2})
	receive(t, "suspension", r.sink.suspended)
}

func TestAServerThatEchoesThePasswordDoesNotGetItShown(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{On: both("AUTHENTICATE", "LOGIN", no("NO [AUTHENTICATIONFAILED] not tr0ub4dor"))})
	r := start(t, quick())
	r.creds.set(user("1"), "anna", "tr0ub4dor", 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	if s := receive(t, "suspension", r.sink.suspended); !strings.HasSuffix(s.reason, "not [redacted]") {
		t.Errorf("reason = %q", s.reason)
	}
}

func TestAMovedStoreReconnects(t *testing.T) {
	t.Parallel()
	r, first := listenToScript(t, imaptest.Script{})
	second := scripted(t, imaptest.Script{})
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(first.Addr()), CredentialVersion: 1}) // no change
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(second.Addr()), CredentialVersion: 1})
	until(t, "a connection to the second", func() bool { return second.Commands("IDLE") > 0 })
	if n := first.Accepted(); n != 1 {
		t.Errorf("%d connections to the first", n)
	}
}

func TestANewPaceReconnectsNobody(t *testing.T) {
	t.Parallel()
	r, server := listenToScript(t, imaptest.Script{})
	server.Folder.Add(1)
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	store := plainStore(server.Addr())
	store.ConnectsPerSecond, store.ConnectsAtOnce = 7, 3
	r.loop.Put(mailbox.Listening{User: user("1"), Store: store, CredentialVersion: 1})
	uid := server.Folder.Deliver()
	r.untilHead(t, uid+1)
	if n := server.Accepted(); n != 1 {
		t.Errorf("%d connections for one listener", n)
	}
}

func TestManyListenersComeAndGo(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	r := start(t, quick())
	const n = 300
	var users []mailbox.User
	for i := range n {
		u := user(fmt.Sprint(i))
		users = append(users, u)
		r.creds.set(u, "anna", "pw", 1)
		r.loop.Put(mailbox.Listening{User: u, Store: plainStore(server.Addr()), CredentialVersion: 1})
	}
	until(t, "all idle", func() bool {
		for i := range n {
			if r.status(user(fmt.Sprint(i))).State != mailv1.ListenerState_LISTENER_STATE_IDLE {
				return false
			}
		}
		return true
	})
	r.loop.Remove(user("0"))
	until(t, "one less", func() bool { return len(r.loop.Status(users)) == n-1 })
	r.loop.RemoveAll()
	until(t, "none", func() bool { return len(r.loop.Status(users)) == 0 })
}

func TestALostConnectionIsNoticedWithoutAsking(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	tuning := quick()
	tuning.Settle = time.Hour
	r := start(t, tuning)
	r.creds.set(user("1"), "anna", "pw", 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	server.Drop()
	until(t, "another connection", func() bool { return server.Accepted() == 2 })
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listenTo starts a loop on a mailbox and waits for its first head.
func listenTo(t *testing.T, m testbox) (*rig, mailbox.End) {
	t.Helper()
	r := start(t, quick())
	r.creds.set(user("1"), m.login(), m.password(), 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: m.store(), Permanent: true, CredentialVersion: 1})
	return r, receive(t, "first head", r.sink.heads).end
}

// untilHead waits for a head of the first user with the UIDNEXT given.
func (r *rig) untilHead(t *testing.T, uidNext uint32) head {
	t.Helper()
	return r.receiveEnd(t, user("1"), uidNext)
}

func TestMailIsNoticedInIdleAndFetched(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		r, box := listenTo(t, m)
		status := r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
		if !status.Permanent || status.Backend != "imapidle" || status.LastError != "" || status.CredentialVersion != 1 {
			t.Errorf("status = %+v", status)
		}
		before := time.Now()
		uid := m.deliver(t, "=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
		h := r.untilHead(t, uid+1)
		if h.end.UIDValidity != box.UIDValidity || h.end.Folder != "INBOX" || h.end.Unseen != box.Unseen+1 {
			t.Errorf("head = %+v after %+v", h.end, box)
		}
		if h.noticed.Before(before) || h.noticed.After(time.Now()) {
			t.Errorf("noticed at %v, delivered at %v", h.noticed, before)
		}
		r.loop.Fetch(user("1"), box.UIDNext, mailbox.Envelopes)
		batch := receive(t, "batch", r.sink.batches)
		if batch.Err != nil || batch.From != box.UIDNext || batch.Upto != uid || len(batch.Mails) != 1 {
			t.Fatalf("batch = %+v", batch)
		}
		mail := batch.Mails[0]
		if mail.UID != uid || mail.Subject != "Grüße" || mail.From != "Jörg <joerg@example.org>" || mail.Size == 0 || mail.ReceivedAt.IsZero() {
			t.Errorf("mail = %+v", mail)
		}
		if got := r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE); got.LastEvent.Before(before) {
			t.Errorf("last event = %v, delivered at %v", got.LastEvent, before)
		}
	})
}

func TestFetchSetsNoSeenFlag(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		first := m.deliver(t, "one")
		r, box := listenTo(t, m)
		r.loop.Fetch(user("1"), first, mailbox.Envelopes)
		if batch := receive(t, "batch", r.sink.batches); len(batch.Mails) != 1 {
			t.Fatalf("batch = %+v", batch)
		}
		second := m.deliver(t, "two")
		if h := r.untilHead(t, second+1); h.end.Unseen != box.Unseen+1 {
			t.Errorf("unseen = %d after %d and one more", h.end.Unseen, box.Unseen)
		}
	})
}

func TestMailBetweenOpeningAndIdleIsFound(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		r, _ := listenTo(t, m)
		uid := m.deliver(t, "in between") // the first head comes before IDLE is entered
		r.untilHead(t, uid+1)
	})
}

func TestMailWhileAwayIsInTheFirstHead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		first := m.deliver(t, "while away")
		uid := m.deliver(t, "while away, too")
		r, box := listenTo(t, m)
		if box.UIDNext != uid+1 || box.Unseen != 2 {
			t.Errorf("first head = %+v after UID %d", box, uid)
		}
		r.loop.Fetch(user("1"), first, mailbox.Envelopes)
		if batch := receive(t, "batch", r.sink.batches); len(batch.Mails) != 2 || batch.Upto != uid {
			t.Errorf("batch = %+v", batch)
		}
	})
}

func TestReconnectsAfterTheServerDropsAndFindsTheMail(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		r, box := listenTo(t, m)
		r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
		m.drop(t)
		again := receive(t, "head after reconnect", r.sink.heads)
		if again.end != box {
			t.Errorf("head = %+v, was %+v", again.end, box)
		}
		uid := m.deliver(t, "after the drop")
		r.untilHead(t, uid+1)
	})
}

func TestWrongPasswordSuspendsUntilANewCredential(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		r := start(t, quick())
		r.creds.set(user("1"), m.login(), "wrong", 7)
		r.loop.Put(mailbox.Listening{User: user("1"), Store: m.store(), CredentialVersion: 7})
		s := receive(t, "suspension", r.sink.suspended)
		if s.user != user("1") || s.version != 7 || s.reason == "" {
			t.Errorf("suspension = %+v", s)
		}
		status := r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_SUSPENDED)
		if status.LastError != s.reason {
			t.Errorf("last error = %q, reason = %q", status.LastError, s.reason)
		}
		r.loop.Fetch(user("1"), 1, mailbox.Envelopes)
		if batch := receive(t, "refused batch", r.sink.batches); batch.Err == nil {
			t.Errorf("batch = %+v", batch)
		}
		r.loop.Put(mailbox.Listening{User: user("1"), Store: m.store(), CredentialVersion: 7}) // the same one: no use
		r.creds.set(user("1"), m.login(), m.password(), 8)
		if asked := r.asked(user("1")); asked != 1 {
			t.Errorf("the credential was asked for %d times", asked)
		}
		r.loop.Put(mailbox.Listening{User: user("1"), Store: m.store(), CredentialVersion: 8})
		receive(t, "head after the new credential", r.sink.heads)
		if got := r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE); got.LastError != "" || got.CredentialVersion != 8 {
			t.Errorf("status = %+v", got)
		}
	})
}

func TestChangedPasswordSuspendsAtTheNextLogin(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		r, _ := listenTo(t, m)
		r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
		m.setPassword(t, "another")
		m.drop(t)
		if s := receive(t, "suspension", r.sink.suspended); s.version != 1 {
			t.Errorf("suspension = %+v", s)
		}
	})
}

// The master user's password was changed at the mail store first, then at the vault.
func TestARefusedMasterUserSuspendsNobody(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		m.setMaster(t, "root", "new")
		r := start(t, quick())
		r.creds.setMaster(user("1"), m.login(), "root", "old")
		r.loop.Put(mailbox.Listening{User: user("1"), Store: m.store(), CredentialVersion: 1})
		until(t, "several attempts", func() bool { return r.asked(user("1")) > 5 })
		if got := r.status(user("1")); !strings.HasPrefix(got.LastError, "mail store refused the master user: ") {
			t.Errorf("status = %+v", got)
		}
		r.creds.setMaster(user("1"), m.login(), "root", "new")
		receive(t, "head", r.sink.heads)
		if got := r.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE); got.LastError != "" {
			t.Errorf("status = %+v", got)
		}
		if n := len(r.sink.suspended); n > 0 {
			t.Errorf("%d suspensions: %+v", n, <-r.sink.suspended)
		}
	})
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, m testbox) {
		uid := m.deliver(t, "before")
		backend := imap.New(imap.Config{})
		login := mailbox.Login{Username: m.login(), Password: secret.New(m.password())}
		box, err := backend.Baseline(t.Context(), m.store(), login)
		if err != nil || box.UIDNext != uid+1 || box.UIDValidity == 0 {
			t.Errorf("Baseline = %+v, %v; delivered UID %d", box, err, uid)
		}
		login.Password = secret.New("wrong")
		if _, err = backend.Baseline(t.Context(), m.store(), login); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("with a wrong password: %v", err)
		}
		login.AuthorizationID, login.Username = m.login(), "root"
		if _, err = backend.Baseline(t.Context(), m.store(), login); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("with a master user that is none: %v", err)
		}
		store := m.store()
		store.Address = "127.0.0.1:1"
		if _, err = backend.Baseline(t.Context(), store, login); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("without a server: %v", err)
		}
	})
}

func (r *rig) asked(u mailbox.User) int {
	r.creds.mu.Lock()
	defer r.creds.mu.Unlock()
	return r.creds.asked[u]
}

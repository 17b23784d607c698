// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"sync/atomic"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// late is a mail store whose sessions see only what they were told of, and where mails
// come just before STATUS is answered, which counts them.
type late struct {
	*rig
	server *imaptest.ScriptServer
	mails  atomic.Int64 // that come before the next answer
}

func startLate(t *testing.T) *late {
	t.Helper()
	l := &late{}
	l.server = scripted(t, imaptest.Script{Views: true, On: on("STATUS", func(p *imaptest.Peer, tag, args string) {
		p.Server.Folder.Add(int(l.mails.Swap(0)))
		p.Answer(tag, "STATUS", args)
	})})
	tuning := quick()
	tuning.Settle, tuning.Linger = time.Hour, time.Hour // nothing but the fetch looks again
	l.rig = start(t, tuning)
	l.creds.set(user("1"), "anna", "pw", 1)
	l.server.Folder.Add(1)
	return l
}

func (l *late) listen() {
	l.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(l.server.Addr()), CredentialVersion: 1})
}

// fetchAll fetches what there is from a UID on; none may be missing.
func (l *late) fetchAll(t *testing.T, from, upto uint32) {
	t.Helper()
	for from <= upto {
		l.loop.Fetch(user("1"), from, mailbox.Envelopes)
		batch := receive(t, "batch", l.sink.batches)
		if batch.Err != nil || batch.From != from || batch.Upto < from || len(batch.Mails) != int(batch.Upto-from+1) {
			t.Fatalf("batch from %d to %d: %d mails, %v", from, batch.Upto, len(batch.Mails), batch.Err)
		}
		from = batch.Upto + 1
	}
}

func TestMailThatTheSessionDoesNotSeeYetIsFetched(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]uint32{"one mail": 1, "more than one fetch brings": 250} {
		t.Run(name+" between EXAMINE and STATUS", func(t *testing.T) {
			t.Parallel()
			l := startLate(t)
			l.mails.Store(int64(count))
			l.listen()
			l.untilHead(t, count+2)
			l.fetchAll(t, 1, count+1)
		})
		t.Run(name+" between EXISTS and STATUS", func(t *testing.T) {
			t.Parallel()
			l := startLate(t)
			l.listen()
			l.untilHead(t, 2)
			l.fetchAll(t, 1, 1)
			l.untilState(t, user("1"), mailv1.ListenerState_LISTENER_STATE_IDLE)
			l.mails.Store(int64(count))
			l.server.Folder.Deliver()
			l.untilHead(t, count+3)
			l.fetchAll(t, 2, count+2)
		})
	}
}

// The mail store is asked twice only when the end of what was asked for is not there.
func TestMailThatHasGoneIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	l := startLate(t)
	l.server.Folder.Add(9)
	l.listen()
	l.untilHead(t, 11)
	l.fetchAll(t, 1, 10)
	if n := l.server.Commands("NOOP"); n != 0 {
		t.Errorf("%d NOOP for mails that are there", n)
	}
	l.server.Folder.Expunge(10, 10)
	l.loop.Fetch(user("1"), 9, mailbox.Envelopes)
	if batch := receive(t, "batch", l.sink.batches); batch.Err != nil || batch.Upto != 10 || len(batch.Mails) != 1 {
		t.Errorf("batch = %+v", batch)
	}
	if n := l.server.Commands("NOOP"); n != 1 {
		t.Errorf("%d NOOP for a mail that has gone", n)
	}
}

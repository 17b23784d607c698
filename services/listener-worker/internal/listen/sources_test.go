// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const waiting = mailv1.ListenerState_LISTENER_STATE_WAITING

// hint is what the sources of hints in these tests send.
type hint struct {
	user mailbox.User
	mailbox.Hint
}

// fakeSource differs from imapidle in all a source can: it needs no login, its readers
// hold no connection, and changes are told by hints from a channel.
type fakeSource struct {
	hints chan hint

	mu     sync.Mutex
	next   map[mailbox.User]uint32 // UIDNEXT
	opened int
	open   int // readers that were not closed
}

func newFakeSource() *fakeSource {
	return &fakeSource{hints: make(chan hint), next: make(map[mailbox.User]uint32)}
}

// run hands the hints to a loop until there will be no more.
func (s *fakeSource) run(t *testing.T, loop *listen.Loop) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for h := range s.hints {
			loop.Hint(h.user, h.Hint)
		}
	}()
	t.Cleanup(func() { close(s.hints); <-done })
}

// deliver adds a mail and says nothing of it.
func (s *fakeSource) deliver(u mailbox.User) (uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uid = max(s.next[u], 1)
	s.next[u] = uid + 1
	return uid
}

func (s *fakeSource) counts() (opened, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.open
}

func (s *fakeSource) end(u mailbox.User) mailbox.End {
	return mailbox.End{Folder: mailbox.Inbox, UIDValidity: 9, UIDNext: max(s.next[u], 1)}
}

// Open implements [listen.Source].
func (s *fakeSource) Open(_ context.Context, of mailbox.Listening, _ listen.LoginFunc, _ listen.Notify) (listen.Reader, listen.Opening, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	s.open++
	return &fakeReader{source: s, user: of.User}, listen.Opening{End: s.end(of.User), Waits: machine.ByHints}, nil
}

// Baseline implements [listen.Source].
func (s *fakeSource) Baseline(context.Context, *mailv1.MailStore, mailbox.Login) (mailbox.End, error) {
	return mailbox.End{}, nil
}

type fakeReader struct {
	source *fakeSource
	user   mailbox.User
}

func (r *fakeReader) Check(mailbox.Look) (mailbox.Checkup, error) {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	return mailbox.Checkup{End: r.source.end(r.user)}, nil
}

func (r *fakeReader) Fetch(want mailbox.Range) (mailbox.Reading, error) {
	var mails []mailbox.Mail
	for uid := want.From; uid <= want.Upto; uid++ {
		mails = append(mails, mailbox.Mail{UID: uid, Subject: "told by a hint"})
	}
	return mailbox.Reading{Mails: mails, Upto: want.Upto}, nil
}

func (r *fakeReader) Close() {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	r.source.open--
}

// startBoth runs a loop with two sources, as a worker that was built with both.
func startBoth(t *testing.T, tuning machine.Settings) (*rig, *fakeSource) {
	t.Helper()
	source := newFakeSource()
	r := startWith(t, tuning, map[string]listen.Source{imap.Name: imap.New(imap.Config{}), "fake": source})
	source.run(t, r.loop)
	return r, source
}

func fakeMailbox(u mailbox.User) mailbox.Listening {
	return mailbox.Listening{User: u, Store: &mailv1.MailStore{Name: "fake", Backend: "fake"}, Permanent: true}
}

// A source of hints has no connection open while nothing happens; a hint has the mailbox
// looked at and read, and the connection given up again.
func TestAHintHasTheMailboxReadAndNoConnectionStays(t *testing.T) {
	t.Parallel()
	r, source := startBoth(t, quick())
	u := user("1")
	source.deliver(u)
	r.loop.Put(fakeMailbox(u))
	if h := receive(t, "first end", r.sink.heads); h.end.UIDNext != 2 {
		t.Errorf("the mailbox ends at %d, want 2", h.end.UIDNext)
	}
	if status := r.untilState(t, u, waiting); status.Backend != "fake" || !status.LastEvent.IsZero() {
		t.Errorf("status %+v", status)
	}
	uid, at := source.deliver(u), time.Now()
	source.hints <- hint{u, mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 9, UID: uid, At: at}}
	if h := receive(t, "end after the hint", r.sink.heads); h.end.UIDNext != 3 || !h.noticed.Equal(at) {
		t.Errorf("the mailbox ends at %d, noticed %s, want 3 at the time of the hint, %s", h.end.UIDNext, h.noticed, at)
	}
	r.loop.Fetch(u, uid, mailbox.Envelopes)
	if read := receive(t, "mail", r.sink.batches); read.Err != nil || len(read.Mails) != 1 || read.Mails[0].UID != uid {
		t.Errorf("read %+v", read)
	}
	if status := r.untilState(t, u, waiting); status.LastEvent.IsZero() {
		t.Error("the mail is no event")
	}
	until(t, "no connection is open", func() bool { _, open := source.counts(); return open == 0 })
}

// A hint that speaks of a known mail is no news. One that names nothing is a look.
func TestAHintOfAKnownMailIsNoNews(t *testing.T) {
	t.Parallel()
	r, source := startBoth(t, quick())
	u := user("1")
	uid := source.deliver(u)
	r.loop.Put(fakeMailbox(u))
	receive(t, "first end", r.sink.heads)
	r.untilState(t, u, waiting)
	known := mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 9, UID: uid, At: time.Now()}
	for range 10 {
		source.hints <- hint{u, known}
	}
	source.hints <- hint{u, mailbox.Hint{Folder: mailbox.Inbox, At: time.Now()}}
	receive(t, "end after the look", r.sink.heads)
	r.untilState(t, u, waiting)
	if opened, _ := source.counts(); opened != 2 {
		t.Errorf("opened %d times, want once at first and once for the hint without a UID", opened)
	}
}

// A hint that tells the next mail is the event, and nothing is opened for it. Hints that
// come faster than they are taken are one, which is looked after.
func TestAHintThatTellsTheNextMailNeedsNoLook(t *testing.T) {
	t.Parallel()
	r, source := startBoth(t, quick())
	u := user("1")
	r.loop.Put(fakeMailbox(u))
	receive(t, "first end", r.sink.heads)
	r.untilState(t, u, waiting)
	uid := source.deliver(u)
	tells := mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 9, UID: uid, At: time.Now(), Mail: &mailbox.Mail{UID: uid, Subject: "told"}, Unseen: 3}
	source.hints <- hint{u, tells}
	h := receive(t, "told mail", r.sink.heads)
	if h.told == nil || h.told.Subject != "told" || h.end.UIDNext != uid+1 || h.end.Unseen != 3 || !h.noticed.Equal(tells.At) {
		t.Errorf("head %+v", h)
	}
	if opened, _ := source.counts(); opened != 1 {
		t.Errorf("opened %d times, want once at first", opened)
	}
	for range 10_000 {
		tells.UID = source.deliver(u)
		tells.Mail = &mailbox.Mail{UID: tells.UID}
		if !r.loop.Hint(u, tells) {
			t.Fatal("the listener is not known")
		}
	}
	if h.end.UIDNext != tells.UID+1 {
		r.receiveEnd(t, u, tells.UID+1)
	}
	if r.loop.Hint(user("9"), tells) {
		t.Error("somebody else's listener is said to be known")
	}
}

// Whoever wants to read does not have to wait for a hint, and a hint that was lost costs
// lateness, never a mail.
func TestWithoutAHintTheMailboxIsReadAllTheSame(t *testing.T) {
	t.Parallel()
	tuning := quick()
	tuning.Recheck = 100 * time.Millisecond
	r, source := startBoth(t, tuning)
	u := user("1")
	source.deliver(u)
	r.loop.Put(fakeMailbox(u))
	receive(t, "first end", r.sink.heads)
	r.untilState(t, u, waiting)
	r.loop.Fetch(u, 1, mailbox.Envelopes)
	if read := receive(t, "what was wanted", r.sink.batches); read.Err != nil || len(read.Mails) != 1 {
		t.Errorf("read %+v", read)
	}
	uid := source.deliver(u)
	r.receiveEnd(t, u, uid+1) // no hint tells of it
}

// Each mailbox is opened by the source its mail store names, and one of a source that the
// worker was not built with says so.
func TestTheBackendOfTheStorePicksTheSource(t *testing.T) {
	t.Parallel()
	r, source := startBoth(t, quick())
	server := scripted(t, imaptest.Script{})
	r.creds.set(user("2"), "anna", "pw", 1)
	r.loop.Put(fakeMailbox(user("1")))
	r.loop.Put(mailbox.Listening{User: user("2"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	r.loop.Put(mailbox.Listening{User: user("3"), Store: &mailv1.MailStore{Name: "lost", Backend: "pigeon"}})
	r.untilState(t, user("1"), waiting)
	r.untilState(t, user("2"), mailv1.ListenerState_LISTENER_STATE_IDLE)
	status := r.untilState(t, user("3"), mailv1.ListenerState_LISTENER_STATE_BACKOFF)
	if want := `this worker does not have the backend "pigeon"`; status.LastError != want {
		t.Errorf("last error %q, want %q", status.LastError, want)
	}
	if opened, _ := source.counts(); opened != 1 {
		t.Errorf("the source of hints opened %d mailboxes, want its own", opened)
	}
	source.hints <- hint{user("9"), mailbox.Hint{}} // whom nobody knows
}

// Where nobody tells of mail it is found in turn, oldest proof first, and the wait does not
// seem to end for it.
func TestLostHintsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	source := newFakeSource()
	r := &rig{creds: newFakeCredentials(), sink: newFakeSink()}
	r.loop = listen.New(listen.Config{
		Sources: map[string]listen.Source{"fake": source}, Tuning: quick(), ReconcileAfter: 20 * time.Millisecond,
	}, r.creds, r.sink)
	r.run(t)
	for _, id := range []string{"1", "2", "3"} {
		box := fakeMailbox(user(id))
		box.Store.ReconcilePerSecond = 1000
		r.loop.Put(box)
		receive(t, "first end", r.sink.heads)
	}
	since := r.untilState(t, user("2"), waiting).Since
	uid := source.deliver(user("2"))
	r.receiveEnd(t, user("2"), uid+1) // no hint tells of it
	got := r.untilState(t, user("2"), waiting)
	if !got.Since.Equal(since) || time.Since(got.LastProof) > patience || got.LastEvent.IsZero() {
		t.Errorf("status %+v, waited since %s", got.Status, since)
	}
}

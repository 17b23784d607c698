// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/dovecottest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/dovecot"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	registered  = mailv1.Registration_REGISTRATION_REGISTERED
	foreign     = mailv1.Registration_REGISTRATION_FOREIGN
	unsupported = mailv1.Registration_REGISTRATION_UNSUPPORTED
)

// ways are the two ways to read: by doveadm without a login, and over IMAP without doveadm.
func ways(t *testing.T, body func(t *testing.T, w *world, of func() mailbox.Listening)) {
	t.Helper()
	t.Run("doveadm", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, dovecottest.Options{}, nil)
		body(t, w, w.user)
	})
	t.Run("imap", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, dovecottest.Options{}, func(w *world, _ *dovecot.Config) { w.store.Doveadm = nil })
		body(t, w, func() mailbox.Listening { return withLogin(w.user()) })
	})
}

func TestOpenRegistersAndReads(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, w *world, user func() mailbox.Listening) {
		of := user()
		w.deliver(of, "From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\r\nSubject: =?utf-8?q?L=C3=BCnch?=\r\n at noon?\r\nSubject: second\r\n")
		w.deliver(of, "Subject: no sender\r\n")
		reader, opening := w.open(of)
		if opening.Waits != machine.ByHints || opening.Registration != registered || opening.Note != "" || opening.Again != 0 {
			t.Errorf("opening %+v", opening)
		}
		if opening.End.UIDNext != 3 || opening.End.UIDValidity == 0 || opening.End.Unseen != 2 || opening.Version != 1 {
			t.Errorf("end %+v, version %d", opening.End, opening.Version)
		}
		got, err := reader.Fetch(mailbox.Range{From: 1, Upto: 2})
		if err != nil {
			t.Fatal(err)
		}
		want := mailbox.Reading{Upto: 2, Mails: []mailbox.Mail{
			{UID: 1, From: "Zoë <zoe@example.org>", Subject: "Lünch at noon?"}, {UID: 2, Subject: "no sender"},
		}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(mailbox.Mail{}, "ReceivedAt", "Size")); diff != "" {
			t.Error(diff)
		}
		for _, m := range got.Mails {
			if time.Since(m.ReceivedAt).Abs() > time.Minute || m.Size < 20 {
				t.Errorf("mail %+v", m)
			}
		}
		w.deliver(of, "Subject: third\r\n")
		if again, err := reader.Check(mailbox.Ask); err != nil || again.End.UIDNext != 4 {
			t.Errorf("then %+v, %v", again, err)
		}
	})
}

// Mails that are gone are absent from what is read, and what is there is read around them.
func TestGonesAndSparseUIDs(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, w *world, user func() mailbox.Listening) {
		of := user()
		for range 130 {
			w.deliver(of, "Subject: one of many\r\n")
		}
		expunge(t, w, of, "2:9,11:120")
		reader, opening := w.open(of)
		var uids []uint32
		for from := uint32(1); from < opening.End.UIDNext; {
			got, err := reader.Fetch(mailbox.Range{From: from, Upto: opening.End.UIDNext - 1})
			if err != nil || got.Upto < from {
				t.Fatalf("from %d: %+v, %v", from, got, err)
			}
			for _, m := range got.Mails {
				uids = append(uids, m.UID)
			}
			from = got.Upto + 1
		}
		if diff := cmp.Diff([]uint32{1, 10, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130}, uids); diff != "" {
			t.Error(diff)
		}
		got, err := reader.Fetch(mailbox.Range{From: 2, Upto: 9, Gone: 9})
		if err != nil || got.Upto != 9 || len(got.Mails) != 0 {
			t.Errorf("a range without mails: %+v, %v", got, err)
		}
	})
}

// No more mails are read at once than were asked for, nor is one that is to be skipped.
func TestLimitsOfARead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, nil)
	of := w.user()
	for i := range 120 {
		w.deliver(of, fmt.Sprintf("Subject: number %d\r\n", i+1))
	}
	reader, _ := w.open(of)
	for _, c := range []struct {
		want  mailbox.Range
		mails int
		upto  uint32
	}{
		{mailbox.Range{From: 1, Upto: 120}, 100, 100},
		{mailbox.Range{From: 1, Upto: 120, Most: 7}, 7, 7},
		{mailbox.Range{From: 5, Upto: 5, Most: 1}, 1, 5},
		{mailbox.Range{From: 3, Upto: 120, Skip: 6}, 4, 6},
		{mailbox.Range{From: 6, Upto: 120, Skip: 6}, 1, 6},
		{mailbox.Range{From: 118, Upto: 4294967295}, 3, 1117},
	} {
		got, err := reader.Fetch(c.want)
		if err != nil || len(got.Mails) != c.mails || got.Upto != c.upto {
			t.Errorf("%+v: %d mails up to %d, %v", c.want, len(got.Mails), got.Upto, err)
		}
	}
	if got, err := reader.Fetch(mailbox.Range{From: 6, Upto: 9, Skip: 6}); err != nil || got.Mails[0].Subject != "" {
		t.Errorf("the mail to skip was read: %+v, %v", got, err)
	}
	if got, err := reader.Fetch(mailbox.Range{From: 5_000, Upto: 4294967295}); err != nil || got.Upto != 4294967295 {
		t.Errorf("a range far above: %+v, %v", got, err)
	}
}

// Headers that are wide, broken or long are one mail's, and read all the same.
func TestOddHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, nil)
	of := w.user()
	wide := "To: " + strings.Repeat("somebody@example.org,\r\n ", 5000) + "last@example.org\r\n"
	odd := []string{
		"From: J\xf6rg <a@b.c>\r\nSubject: Gr\xfc\xdfe\r\n",
		"Subject: x \xff\xfe \xc3( \xed\xa0\x80\r\n",
		"Subject: a\x01\x08\x1b\x7f \"q\" \\ \xe2\x80\xa8\r\n",
		wide + "Subject: wide\r\n",
		"Subject: " + strings.Repeat("0123456789\r\n ", 9000) + "\r\n",
		"Subject: " + strings.Repeat("z", 200_000) + "\r\n",
		"Subject: \xf0\x9f\x98\x80\r\n",
		"",
	}
	for _, header := range odd {
		w.deliver(of, header)
	}
	reader, opening := w.open(of)
	got, err := reader.Fetch(mailbox.Range{From: 1, Upto: opening.End.UIDNext - 1})
	if err != nil || len(got.Mails) != len(odd) {
		t.Fatalf("%d mails, %v", len(got.Mails), err)
	}
	if got.Mails[3].Subject != "wide" || got.Mails[6].Subject != "\U0001F600" {
		t.Errorf("subjects %q and %q", got.Mails[3].Subject, got.Mails[6].Subject)
	}
	for _, m := range got.Mails {
		if len([]rune(m.Subject)) > 1001 {
			t.Errorf("mail %d has a subject of %d runes", m.UID, len([]rune(m.Subject)))
		}
	}
}

// A mailbox whose lock a session holds that hangs is asked for in vain until the store's
// time-out, holds up nobody else, and is read when the lock is free.
func TestALockedMailboxHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, func(w *world, _ *dovecot.Config) {
		w.store.Doveadm.Timeout = durationpb.New(2 * time.Second)
		w.store.Doveadm.Concurrency = 1
	})
	locked, other := w.user(), w.user()
	for _, of := range []mailbox.Listening{locked, other} {
		w.deliver(of, "Subject: before\r\n")
	}
	lockedReader, _ := w.open(locked)
	otherReader, _ := w.open(other)
	release, err := w.server.Lock(locked.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	hung := make(chan error, 1)
	go func() {
		_, err := lockedReader.Check(mailbox.Reopen)
		hung <- err
	}()
	got, err := otherReader.Fetch(mailbox.Range{From: 1, Upto: 1})
	if err != nil || len(got.Mails) != 1 {
		t.Errorf("beside a mailbox that is locked: %+v, %v", got, err)
	}
	if err := <-hung; err == nil || !strings.Contains(err.Error(), "did not answer within 2s") {
		t.Errorf("asking for the mailbox that is locked: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mailbox is read", func() bool {
		reader, _, err := w.source.Open(t.Context(), locked, w.login(locked, false), nil)
		if err != nil {
			return false
		}
		defer reader.Close()
		got, err := reader.Fetch(mailbox.Range{From: 1, Upto: 2})
		return err == nil && len(got.Mails) == 2
	})
}

// A value that another system has put there stays, and the listener asks at intervals.
func TestForeignRegistrationIsLeftAlone(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, w *world, user func() mailbox.Listening) {
		of := user()
		annotate(t, w, of, "user=17@other system")
		_, opening := w.open(of)
		if opening.Registration != foreign || opening.Again <= 0 || !strings.Contains(opening.Note, "17@other system") {
			t.Errorf("opening %+v", opening)
		}
		if got := annotated(t, w, of); got != "user=17@other system" {
			t.Errorf("now %q is there", got)
		}
		w.source.Forget(of, w.login(of, true), true)
		w.source.Close()
		if got := annotated(t, w, of); got != "user=17@other system" {
			t.Errorf("in the end %q is there", got)
		}
	})
}

// A listener that moves to another worker leaves its registration, one that nobody wants
// takes it along.
func TestRegistrationGoesWithTheLastSubscription(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, w *world, user func() mailbox.Listening) {
		of := user()
		reader, _ := w.open(of)
		reader.Close()
		ours := "user=" + of.User.ID + "@1"
		if got := annotated(t, w, of); got != ours {
			t.Fatalf("%q is there", got)
		}
		w.source.Forget(of, w.login(of, true), false)
		if reader, _ = w.open(of); annotated(t, w, of) != ours {
			t.Error("a listener that moved took its registration along")
		}
		reader.Close()
		w.source.Forget(of, w.login(of, true), true)
		reader, _ = w.open(of) // waits until it is taken back, and registers anew
		reader.Close()
		if got := annotated(t, w, of); got != ours {
			t.Errorf("one that came back has %q", got)
		}
		w.source.Forget(of, w.login(of, true), true)
		eventually(t, "nothing is registered", func() bool { return annotated(t, w, of) == "" })
	})
}

// Nothing is changed while the right to act is in doubt.
func TestInDoubtNothingIsRegistered(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, w *world, user func() mailbox.Listening) {
		of := user()
		w.mu.Lock()
		w.doubt = true
		w.mu.Unlock()
		_, opening := w.open(of)
		if opening.Registration != mailv1.Registration_REGISTRATION_FAILED || opening.Again <= 0 {
			t.Errorf("opening %+v", opening)
		}
		if got := annotated(t, w, of); got != "" {
			t.Errorf("%q was registered", got)
		}
	})
}

// A mailbox that gets a new UIDVALIDITY has lost its registration: it is made anew at once.
func TestNewFolderIsRegisteredAtOnce(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, w *world, user func() mailbox.Listening) {
		of := user()
		w.deliver(of, "Subject: one\r\n")
		reader, first := w.open(of)
		reader.Close()
		w.source.Forget(of, nil, false) // nothing stays open
		w.open(of)
		if err := w.server.Swap(of.User.ID); err != nil {
			t.Fatal(err)
		}
		w.deliver(of, "Subject: of another folder\r\n")
		eventually(t, "the new folder is registered", func() bool {
			reader, opening := w.open(of)
			reader.Close()
			return opening.End.UIDValidity != first.End.UIDValidity && opening.Registration == registered && annotated(t, w, of) != ""
		})
	})
}

func TestMailStoreWithoutMetadata(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, *dovecot.Config){
		"doveadm": nil,
		"imap":    func(w *world, _ *dovecot.Config) { w.store.Doveadm = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dovecottest.Options{NoMetadata: true}, change)
			of := w.user()
			if name == "imap" {
				of = withLogin(of)
			}
			w.deliver(of, "Subject: one\r\n")
			_, opening := w.open(of)
			if opening.Registration != unsupported || opening.Again <= 0 || !strings.Contains(opening.Note, "mail_attribute_dict") {
				t.Errorf("opening %+v", opening)
			}
			if opening.End.UIDNext != 2 {
				t.Errorf("end %+v", opening.End)
			}
		})
	}
}

// What Dovecot announces and nobody listens to has its registration taken back, unless
// somebody has come to listen meanwhile, or it is another's.
func TestRegistrationOfNobodyIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, func(w *world, cfg *dovecot.Config) {
		w.store.Doveadm.LoginRule = "{user}"
		cfg.StrayAfter = 200 * time.Millisecond
	})
	left, back, others := w.user(), w.user(), w.user()
	annotate(t, w, left, "user="+left.User.ID+"@1")
	annotate(t, w, back, "user="+back.User.ID+"@1")
	annotate(t, w, others, "user=another@system")
	w.open(w.user()) // the source knows the mail store by its mailboxes
	for _, of := range []mailbox.Listening{left, back, others, left} {
		w.source.Unknown(of.User)
	}
	w.open(back)
	eventually(t, "what was left is taken back", func() bool { return annotated(t, w, left) == "" })
	w.source.Close()
	if annotated(t, w, back) == "" || annotated(t, w, others) == "" {
		t.Error("another registration was taken back, too")
	}
}

var _ listen.Keeper = (*dovecot.Source)(nil)

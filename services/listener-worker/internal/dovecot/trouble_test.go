// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/dovecot"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// fakeDoveadm answers each command by its name; without a word for it, with no rows.
type fakeDoveadm struct {
	mu    sync.Mutex
	words map[string]string // rows, or an error, as JSON
	asked []string          // the names of the commands
	http  int               // a status for all
}

func (f *fakeDoveadm) say(command, words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.words[command] = words
}

// ServeHTTP implements [http.Handler].
func (f *fakeDoveadm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	var commands [][3]json.RawMessage
	if f.http != 0 || err != nil || json.Unmarshal(body, &commands) != nil {
		w.WriteHeader(max(f.http, http.StatusBadRequest))
		return
	}
	var out []string
	for _, command := range commands {
		var name string
		_ = json.Unmarshal(command[0], &name) // an empty one has no word
		f.asked = append(f.asked, name)
		words := f.words[name]
		kind := "doveadmResponse"
		switch {
		case words == "":
			words = "[]"
		case strings.HasPrefix(words, "{"):
			kind = "error"
		}
		out = append(out, fmt.Sprintf("[%q,%s,%s]", kind, words, command[2]))
	}
	_, _ = io.WriteString(w, "["+strings.Join(out, ",")+"]") // whoever went away does not hear it
}

const (
	aStatus  = `[{"mailbox":"INBOX","uidnext":"10","uidvalidity":"7","unseen":"3","guid":"aa"}]`
	exitCode = `{"type":"exitCode","exitCode":%d}`
)

// withFake is a source whose mail store's doveadm is a fake, and which has no IMAP.
func withFake(t *testing.T) (*fakeDoveadm, *dovecot.Source, mailbox.Listening) {
	t.Helper()
	fake := &fakeDoveadm{words: map[string]string{"mailboxStatus": aStatus}}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	source := dovecot.New(dovecot.Config{
		Key: func(store string) (secret.String, bool) { return secret.New("key"), store == "main" }, Current: func() bool { return true },
	})
	t.Cleanup(source.Close)
	return fake, source, mailbox.Listening{
		User: mailbox.User{Context: "1", ID: "249"}, Login: "anna", CredentialVersion: 1,
		Store: &mailv1.MailStore{Name: "main", Backend: dovecot.Name, Doveadm: &mailv1.Doveadm{Url: server.URL + "/doveadm/v1"}},
	}
}

// What doveadm answers amiss is a failure that says so, and never suspends a listener.
func TestOpenFailsWithAReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status string
		http   int
		want   string
	}{
		"no such user":      {fmt.Sprintf(exitCode, 67), 0, "no such user"},
		"try later":         {fmt.Sprintf(exitCode, 75), 0, "exit code 75"},
		"a proxy's":         {fmt.Sprintf(exitCode, 68), 0, "does not find the mailbox"},
		"no rows":           {"[]", 0, "does not tell UIDNEXT"},
		"another folder's":  {`[{"mailbox":"Trash","uidnext":"10","uidvalidity":"7"}]`, 0, "does not tell UIDNEXT"},
		"not numbers":       {`[{"mailbox":"INBOX","uidnext":"x","uidvalidity":"7"}]`, 0, "does not tell UIDNEXT"},
		"wide UIDVALIDITY":  {`[{"mailbox":"INBOX","uidnext":"1","uidvalidity":"4294967296"}]`, 0, "does not tell UIDNEXT"},
		"no UIDVALIDITY":    {`[{"mailbox":"INBOX","uidnext":"1","uidvalidity":"0"}]`, 0, "does not tell UIDNEXT"},
		"wrong key":         {"", http.StatusUnauthorized, "refuses the API key"},
		"no such API":       {"", http.StatusNotFound, "is the URL that of its HTTP API"},
		"an error for each": {"", http.StatusInternalServerError, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, source, of := withFake(t)
			fake.say("mailboxStatus", c.status)
			fake.http = c.http
			_, _, err := source.Open(t.Context(), of, nil, nil)
			failure, ok := errors.AsType[*mailbox.Failure](err)
			if !ok || !strings.Contains(failure.Reason, c.want) || failure.Class <= mailbox.ClassMasterRefused {
				t.Errorf("got %v of class %v", err, failure)
			}
		})
	}
}

// Rows that are not of the mails that were asked for, or of another folder, are none.
func TestRowsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]string{
		"of another range":  `[{"uid":"99","hdr.subject":"x"}]`,
		"without a UID":     `[{"hdr.subject":"x"}]`,
		"UID 0":             `[{"uid":"0"}]`,
		"UID over 32 bits":  `[{"uid":"4294967297"}]`,
		"of another folder": `[{"uid":"5","mailbox-guid":"bb"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, source, of := withFake(t)
			fake.say("fetch", rows)
			reader, _, err := source.Open(t.Context(), of, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if got, err := reader.Fetch(mailbox.Range{From: 5, Upto: 9}); err == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Mails in any order, and twice, are read in order and once; what is missing of one is left
// out.
func TestRowsInAnyOrder(t *testing.T) {
	t.Parallel()
	fake, source, of := withFake(t)
	fake.say("fetch", `[{"uid":"7","hdr.subject":"seven","date.received.unixtime":"99999999999999","size.physical":"x"},{"uid":"5"},`+
		`{"uid":"7","hdr.subject":"again"},{"uid":"6","hdr.subject":"one\nanother","hdr.from":"a@b.c\nd@e.f","date.received.unixtime":"1700000000","size.physical":"12"}]`)
	reader, _, err := source.Open(t.Context(), of, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got, err := reader.Fetch(mailbox.Range{From: 5, Upto: 9})
	if err != nil || got.Upto != 9 || len(got.Mails) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, m := range got.Mails {
		if m.UID != uint32(5+i) {
			t.Errorf("mail %d is %+v", i, m)
		}
	}
	if six := got.Mails[1]; six.Subject != "one" || six.From != "a@b.c" || six.Size != 12 || six.ReceivedAt.Unix() != 1700000000 {
		t.Errorf("mail 6 is %+v", six)
	}
	if seven := got.Mails[2]; !seven.ReceivedAt.IsZero() || seven.Size != 0 {
		t.Errorf("mail 7 is %+v", seven)
	}
}

// A range without mails counts only when the folder is still the one that was looked at.
func TestNothingOfAnotherFolderIsNoAbsence(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]string{
		"another UIDVALIDITY": strings.Replace(aStatus, `"7"`, `"8"`, 1),
		"another GUID":        strings.Replace(aStatus, `"aa"`, `"bb"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, source, of := withFake(t)
			reader, _, err := source.Open(t.Context(), of, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if got, err := reader.Fetch(mailbox.Range{From: 5, Upto: 9}); err != nil || got.Upto != 9 {
				t.Errorf("the same folder: %+v, %v", got, err)
			}
			fake.say("mailboxStatus", status)
			if got, err := reader.Fetch(mailbox.Range{From: 5, Upto: 9}); err == nil {
				t.Errorf("another: %+v", got)
			}
		})
	}
}

// A registration that cannot be looked at, or made, does not keep a mailbox from being
// listened to.
func TestRegistrationThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		get, set string
		want     mailv1.Registration
	}{
		"not looked at": {fmt.Sprintf(exitCode, 75), "", mailv1.Registration_REGISTRATION_FAILED},
		"not possible":  {fmt.Sprintf(exitCode, 65), "", unsupported},
		"not made":      {`[{"value":""}]`, fmt.Sprintf(exitCode, 77), mailv1.Registration_REGISTRATION_FAILED},
		"made":          {`[{"value":""}]`, "", registered},
		"there":         {`[{"value":"user=249@1"}]`, "", registered},
		"another's":     {`[{"value":"user=249@2"}]`, "", foreign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, source, of := withFake(t)
			fake.say("mailboxMetadataGet", c.get)
			fake.say("mailboxMetadataSet", c.set)
			reader, opening, err := source.Open(t.Context(), of, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			reader.Close()
			if opening.Registration != c.want || (opening.Note == "") != (c.want == registered) || opening.End.UIDNext != 10 {
				t.Errorf("opening %+v", opening)
			}
		})
	}
}

// Where doveadm is out and there is a login, IMAP reads; without a login the reason is
// doveadm's.
func TestDoveadmIsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, func(w *world, _ *dovecot.Config) {
		broken := httptest.NewServer(&fakeDoveadm{http: http.StatusUnauthorized})
		w.t.Cleanup(broken.Close)
		w.store.Doveadm.Url = broken.URL + "/doveadm/v1"
	})
	of := withLogin(w.user())
	w.deliver(of, "Subject: read over IMAP\r\n")
	reader, opening := w.open(of)
	if opening.Again <= 0 || !strings.Contains(opening.Note, "refuses the API key") || !strings.Contains(opening.Note, "read over IMAP") {
		t.Errorf("opening %+v", opening)
	}
	if got, err := reader.Fetch(mailbox.Range{From: 1, Upto: 1}); err != nil || got.Mails[0].Subject != "read over IMAP" {
		t.Errorf("got %+v, %v", got, err)
	}
	without := w.user()
	_, _, err := w.source.Open(t.Context(), without, w.login(without, false), nil)
	if failure := mailbox.AsFailure(err); err == nil || failure.Class != mailbox.ClassUnavailable || !strings.Contains(failure.Reason, "refuses the API key") {
		t.Errorf("without a login: %v", err)
	}
}

// Mailboxes that are opened again soon are not logged in to again.
func TestIMAPIsKeptForAMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, func(w *world, _ *dovecot.Config) { w.store.Doveadm = nil })
	of := withLogin(w.user())
	for range 3 {
		w.deliver(of, "Subject: soon after each other\r\n")
		reader, _ := w.open(of)
		reader.Close()
	}
	w.server.Drop() // the mail store ends what is open
	reader, opening := w.open(of)
	if reader.Close(); opening.End.UIDNext != 4 {
		t.Errorf("end %+v", opening.End)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != 2 {
		t.Errorf("%d logins, want one and another after the loss", w.asked)
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dovecottest.Options{}, nil)
	of := w.user()
	w.deliver(of, "Subject: before\r\n")
	for name, c := range map[string]struct {
		login mailbox.Login
		kind  fault.Kind // zero: it succeeds
	}{
		"by doveadm":       {mailbox.Login{Username: of.User.ID}, 0},
		"nobody":           {mailbox.Login{Username: "nobody"}, fault.Unauthenticated},
		"with a password":  {mailbox.Login{Username: of.User.ID, Password: secret.New(password)}, 0},
		"a wrong password": {mailbox.Login{Username: of.User.ID, Password: secret.New("guess")}, fault.Unauthenticated},
	} {
		end, err := w.source.Baseline(t.Context(), w.store, c.login)
		if (err == nil) != (c.kind == 0) || err != nil && fault.KindOf(err) != c.kind || err == nil && end.UIDNext != 2 {
			t.Errorf("%s: %+v, %v", name, end, err)
		}
	}
}

// A mailbox that is only to be read, because a notification has told where it ends, is not
// looked at before; and another folder in its place is noticed all the same.
func TestResumeReadsWithoutALook(t *testing.T) {
	t.Parallel()
	fake, source, of := withFake(t)
	fake.say("mailboxMetadataGet", `[{"value":"user=249@1"}]`)
	end := mailbox.End{Folder: mailbox.Inbox, UIDValidity: 7, UIDNext: 12}
	if reader, _ := source.Resume(of, end); reader != nil {
		t.Fatal("resumed what was never opened")
	}
	reader, _, err := source.Open(t.Context(), of, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	if reader, _ := source.Resume(of, mailbox.End{UIDValidity: 8, UIDNext: 12}); reader != nil {
		t.Error("resumed under another UIDVALIDITY")
	}
	fake.mu.Lock()
	fake.asked = nil
	fake.mu.Unlock()
	reader, opening := source.Resume(of, end)
	if reader == nil || opening.End != end || opening.Registration != registered || !opening.Unproven {
		t.Fatalf("opening %+v", opening)
	}
	defer reader.Close()
	fake.say("fetch", `[{"uid":"11","mailbox-guid":"aa"}]`)
	if got, err := reader.Fetch(mailbox.Range{From: 11, Upto: 11}); err != nil || len(got.Mails) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	fake.say("fetch", `[{"uid":"11","mailbox-guid":"bb"}]`)
	if got, err := reader.Fetch(mailbox.Range{From: 11, Upto: 11}); err == nil {
		t.Errorf("of another folder: %+v", got)
	}
	fake.mu.Lock()
	defer fake.mu.Unlock()
	if got := strings.Join(fake.asked, " "); got != "fetch fetch" {
		t.Errorf("asked for %s", got)
	}
}

// Whose fault it is that doveadm did not answer decides what ends the wait: what would
// have met any user is the mail store's.
func TestWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status string
		http   int
		want   mailbox.Blame
	}{
		"no such user": {fmt.Sprintf(exitCode, 67), 0, mailbox.BlameMailbox},
		"not possible": {fmt.Sprintf(exitCode, 65), 0, mailbox.BlameMailbox},
		"try later":    {fmt.Sprintf(exitCode, 75), 0, mailbox.BlameEither},
		"no rows":      {"[]", 0, mailbox.BlameEither},
		"wrong key":    {"", http.StatusUnauthorized, mailbox.BlameStore},
		"a proxy's":    {"", http.StatusServiceUnavailable, mailbox.BlameStore},
		"no such API":  {"", http.StatusNotFound, mailbox.BlameStore},
		"one error":    {"", http.StatusInternalServerError, mailbox.BlameEither},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, source, of := withFake(t)
			fake.say("mailboxStatus", c.status)
			fake.http = c.http
			_, _, err := source.Open(t.Context(), of, nil, nil)
			if failure := mailbox.AsFailure(err); err == nil || failure.Whose() != c.want {
				t.Errorf("%v is the fault of %d, want %d", err, failure.Whose(), c.want)
			}
		})
	}
	_, source, of := withFake(t)
	of.Store.Doveadm.Url = "http://127.0.0.1:1/doveadm/v1" // nobody listens there
	if _, _, err := source.Open(t.Context(), of, nil, nil); mailbox.AsFailure(err).Whose() != mailbox.BlameStore {
		t.Errorf("%v is not the mail store's fault", err)
	}
}

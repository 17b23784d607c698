// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/header"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// sample is a notification as Dovecot 2.3 sends it.
const sample = `{"user":"3@1","event":"messageNew","folder":"INBOX","imap-uidvalidity":1764500000,"imap-uid":12,` +
	`"from":"=?utf-8?q?Zo=C3=AB?= <zoe@example.org>","subject":"=?UTF-8?B?w4TDpA==?= and\r\n more","snippet":"Hello","unseen":4}`

func TestWhatANotificationMeans(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	look := func(name string) hints.Hint {
		return hints.Hint{Backend: "dovecot", Name: name, Hint: mailbox.Hint{Folder: "INBOX", At: at}}
	}
	told := look("3@1")
	told.UIDValidity, told.UID, told.Unseen = 1764500000, 12, 4
	told.Mail = &mailbox.Mail{UID: 12, From: "Zoë <zoe@example.org>", Subject: "Ää and more", ReceivedAt: at, Size: mailbox.SizeUnknown}
	named := told
	named.Mail, named.Unseen = nil, 0
	bare := told
	bare.Mail = &mailbox.Mail{UID: 12, ReceivedAt: at, Size: mailbox.SizeUnknown}
	for name, c := range map[string]struct {
		body string
		want hints.Hint
	}{
		"as Dovecot sends it":         {sample, told},
		"as its older versions do":    {strings.ReplaceAll(strings.Replace(sample, "unseen", "unread", 1), "messageNew", "MessageNew"), told},
		"without a UID it is a look":  {strings.Replace(sample, `"imap-uid":12`, `"imap-uid":0`, 1), look("3@1")},
		"without UIDs it is a look":   {`{"user":"anna","event":"messageNew","folder":"inbox"}`, look("anna")},
		"without UIDVALIDITY as well": {strings.Replace(sample, `"imap-uidvalidity":1764500000,`, "", 1), look("3@1")},
		"without a count of mails":    {strings.Replace(sample, `,"unseen":4`, "", 1), named},
		"without sender and subject":  {`{"user":"3@1","event":"messageNew","folder":"INBOX","imap-uidvalidity":1764500000,"imap-uid":12,"unseen":4}`, bare},
		"with what nobody knows":      {strings.Replace(sample, `{"user"`, `{"new":{"a":[1,null]},"user"`, 1), told},
	} {
		said, err := parse([]byte(c.body))
		if err != nil || !said.newMail() || !said.inbox() {
			t.Errorf("%s: %+v, %v", name, said, err)
			continue
		}
		if diff := cmp.Diff(c.want, said.hint("dovecot", at)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhatIsMalformedIsSaid(t *testing.T) {
	t.Parallel()
	replace := func(old, other string) string { return strings.Replace(sample, old, other, 1) }
	for body, want := range map[string]string{
		"":                                     "the body is not JSON",
		"{":                                    "the body is not JSON",
		sample + "x":                           "the body is not JSON",
		sample[:len(sample)-9]:                 "the body is not JSON",
		"[]":                                   "want a JSON object",
		"7":                                    "want a JSON object",
		"null":                                 "is missing",
		"{}":                                   "is missing",
		replace(`"3@1"`, "3"):                  "user: want a text",
		replace(`"3@1"`, `["3"]`):              "user: want a text",
		replace(`"3@1"`, `""`):                 "user: is missing",
		replace(`"INBOX"`, "null"):             "folder: is missing",
		replace(`"INBOX"`, "{}"):               "folder: want a text",
		replace("12", `"12"`):                  "imap-uid: want a number from 0 to 4294967295",
		replace("12", "-1"):                    "imap-uid: want a number from 0 to 4294967295",
		replace("12", "1.5"):                   "imap-uid: want a number from 0 to 4294967295",
		replace("12", "4294967296"):            "imap-uid: want a number from 0 to 4294967295",
		replace("1764500000", "1e30"):          "imap-uidvalidity: want a number from 0 to 4294967295",
		replace(`"unseen":4`, `"unseen":true`): "unseen: want a number from 0 to 4294967295",
		replace(`"3@1"`, `"`+strings.Repeat("x", 2000)+`"`): "user: has more than 1024 bytes",
		replace(`"event":"messageNew",`, ""):                "event: is missing",
	} {
		if _, err := parse([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", body, err, want)
		}
	}
}

func FuzzNotification(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"user":"\u0000@1","event":"messageNew","folder":"INBOX","imap-uid":4294967295,"imap-uidvalidity":1,"from":"=?x?q?=ff?=","subject":"\ud800","unread":0}`))
	f.Add([]byte(`{"USER":null,"user":{},"event":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		said, err := parse(body)
		if err != nil {
			if len(err.Error()) > 200 {
				t.Errorf("a long error: %q", err)
			}
			return
		}
		hint := said.hint("dovecot", time.Now())
		if hint.Name == "" || (hint.UID == 0) != (hint.UIDValidity == 0) || hint.Mail != nil && hint.Mail.UID != hint.UID {
			t.Errorf("hint %+v", hint)
		}
		if mail := hint.Mail; mail != nil {
			for _, text := range []string{mail.From, mail.Subject} {
				if !utf8.ValidString(text) || utf8.RuneCountInString(text) > header.MaxText || strings.ContainsAny(text, "\r\n\x00") {
					t.Errorf("text %q", text)
				}
			}
		}
	})
}

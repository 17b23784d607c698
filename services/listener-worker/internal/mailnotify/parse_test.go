// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailnotify

import (
	"strings"
	"testing"
)

const (
	// sampleMail and sampleEvent are datagrams of the two classes, with all that is read.
	sampleMail  = "ox\x00MAIL\x00\x00anna\x00INBOX\x000\x00From: a@b.c\nSubject: hello\n\x00"
	sampleEvent = "ox\x00EVENT\x00\x00\x00\x000\x00" + `{"event":"MessageNew","timestamp":"2026-11-30T12:00:00.123+00:00","service":"lmtpunix",` +
		`"pid":1234,"user":"anna","messageSize":50,"uidnext":4,"uri":"imap://anna@mail.example/INBOX;UIDVALIDITY=1764500000/;UID=3"}` + "\x00"
)

func TestWhatADatagramMeans(t *testing.T) {
	t.Parallel()
	look := datagram{user: "anna", newMail: true, inbox: true}
	named := look
	named.uidValidity, named.uid = 1764500000, 3
	secret := look
	secret.option = "s3cret"
	event := func(old, other string) string { return strings.Replace(sampleEvent, old, other, 1) }
	for name, c := range map[string]struct {
		data string
		want datagram
	}{
		"of the class MAIL":            {sampleMail, look},
		"without the last NUL":         {strings.TrimSuffix(sampleMail, "\x00"), look},
		"without a message":            {"ox\x00MAIL\x00\x00anna\x00INBOX\x000", look},
		"in other letters":             {"OX\x00mail\x00high\x00anna\x00inbox\x000\x00\x00", look},
		"with options":                 {"ox\x00MAIL\x00\x00anna\x00INBOX\x002\x00s3cret\x00more\x00text\x00", secret},
		"of another folder":            {strings.Replace(sampleMail, "INBOX", "Trash", 1), datagram{user: "anna", newMail: true}},
		"of INBOX by its long name":    {strings.Replace(sampleMail, "INBOX", "user.anna", 1), look},
		"of somebody else's":           {strings.Replace(sampleMail, "INBOX", "user.bob", 1), datagram{user: "anna", newMail: true}},
		"of another class":             {strings.Replace(sampleMail, "MAIL", "SIEVE", 1), datagram{user: "anna"}},
		"of the class EVENT":           {sampleEvent, named},
		"of an appended mail":          {event("MessageNew", "MessageAppend"), named},
		"of another event":             {event("MessageNew", "FlagsSet"), datagram{user: "anna"}},
		"of an event of a long name":   {event("/INBOX;", "/user.anna;"), named},
		"of an event elsewhere":        {event("/INBOX;", "/Sent;"), datagram{user: "anna", newMail: true, uidValidity: 1764500000, uid: 3}},
		"of an event without UIDs":     {event(";UIDVALIDITY=1764500000/;UID=3", ""), look},
		"of an event with a large UID": {event("UID=3", "UID=4294967296"), look},
		"of a user in the URL alone":   {event(`"user":"anna",`, ""), named},
		"of a user with a domain":      {strings.NewReplacer(`"anna"`, `"bob@example.org"`, "anna@", "bob@example.org@").Replace(sampleEvent), datagram{user: "bob@example.org", newMail: true, inbox: true, uidValidity: 1764500000, uid: 3}},
	} {
		if got, err := parse([]byte(c.data)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

// ofCyrus are datagrams that Cyrus 3.6.1 has sent, and what they mean (make test-cyrus
// shows such).
func ofCyrus() map[string]datagram {
	event := func(event, uri, user, acl string) string {
		return "ox\x00EVENT\x00\x00\x00\x000\x00" + `{"event":"` + event + `","timestamp":"2026-11-30T14:27:13.457Z",` +
			`"mailboxID":"gxczmbygrou8appnt7ciz8vw","uri":"imap://cyrus-3314809560.example/` + uri + `","pid":17528,"user":"` + user + `",` +
			`"vnd.cmu.mbtype":"e","serverFQDN":"cyrus-3314809560.example","vnd.cmu.mailboxACL":"` + acl + `\tlrswipkxtecdan\t"}` + "\x00"
	}
	const anna, bob = "anna", "bob@example.org"
	mail := func(user string, validity, uid uint32) datagram {
		return datagram{user: user, newMail: true, inbox: true, uidValidity: validity, uid: uid}
	}
	elsewhere := mail(anna, 1796048837, 1)
	elsewhere.inbox = false
	elsewhereToo := mail(bob, 1796048829, 1)
	elsewhereToo.inbox = false
	return map[string]datagram{
		"ox\x00MAIL\x00\x00anna\x00INBOX\x000\x00From: a@b.c\nSubject: hello\n\x00":                                            mail(anna, 0, 0),
		"ox\x00MAIL\x00\x00bob@example.org\x00INBOX\x000\x00From: zoe@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\x00": mail(bob, 0, 0),
		"ox\x00MAIL\x00\x00anna\x00INBOX\x000\x00From: ZoXX <zoe@example.org>\nSubject: zwei: GrXXXXe\n\x00":                   mail(anna, 0, 0),

		event("MessageNew", "user/anna;UIDVALIDITY=1796048834/;UID=4", anna, anna):                    mail(anna, 1796048834, 4),
		event("MessageNew", "user/bob%40example.org;UIDVALIDITY=1796048825/;UID=1", bob, bob):         mail(bob, 1796048825, 1),
		event("MessageAppend", "user/anna/Sent;UIDVALIDITY=1796048837/;UID=1", anna, anna):            elsewhere,
		event("MessageAppend", "user/bob/Sent%40example.org;UIDVALIDITY=1796048829/;UID=1", bob, bob): elsewhereToo,
		event("MailboxCreate", "user/anna;UIDVALIDITY=1796048834", "cyrus", anna):                     {user: "cyrus"},
		event("MailboxModseq", "user/anna;UIDVALIDITY=1796048834", "", anna):                          {},
		event("MessageExpunge", `user/anna;UIDVALIDITY=1796048834","uidset":"1:2`, anna, anna):        {user: anna},
	}
}

func TestDatagramsOfCyrus(t *testing.T) {
	t.Parallel()
	for data, want := range ofCyrus() {
		if got, err := parse([]byte(data)); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", data, got, err, want)
		}
	}
}

func TestBadDatagrams(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"nothing":                   "",
		"a NUL":                     "\x00",
		"a word":                    "ox",
		"five fields":               "ox\x00MAIL\x00\x00anna\x00INBOX",
		"no number of options":      "ox\x00MAIL\x00\x00anna\x00INBOX\x00x\x00\x00",
		"a negative one":            "ox\x00MAIL\x00\x00anna\x00INBOX\x00-1\x00\x00",
		"more options than are":     "ox\x00MAIL\x00\x00anna\x00INBOX\x003\x00a\x00",
		"a huge number of options":  "ox\x00MAIL\x00\x00anna\x00INBOX\x004294967295\x00a\x00",
		"no user":                   "ox\x00MAIL\x00\x00\x00INBOX\x000\x00\x00",
		"a long user":               "ox\x00MAIL\x00\x00" + strings.Repeat("x", 2000) + "\x00INBOX\x000\x00\x00",
		"an event that is no JSON":  "ox\x00EVENT\x00\x00\x00\x000\x00{\x00",
		"an event with wrong types": "ox\x00EVENT\x00\x00\x00\x000\x00" + `{"event":7}` + "\x00",
		"an event without a user":   "ox\x00EVENT\x00\x00\x00\x000\x00" + `{"event":"MessageNew","uri":"imap://mail.example/INBOX"}` + "\x00",
		"an event without a URL":    "ox\x00EVENT\x00\x00\x00\x000\x00" + `{"event":"MessageNew","user":"anna","uri":"%"}` + "\x00",
	} {
		if got, err := parse([]byte(data)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add([]byte(sampleMail))
	f.Add([]byte(sampleEvent))
	f.Add([]byte("ox\x00EVENT\x00\x00\x00\x001\x00s\x00" + `{"event":"MessageNew","uri":"imap://a@b/INBOX;UIDVALIDITY=;;=/;UID=-1"}`))
	for data := range ofCyrus() {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse(data)
		if err != nil {
			return
		}
		if got.newMail && got.user == "" || len(got.user) > maxName && got.newMail || (got.uid == 0) != (got.uidValidity == 0) {
			t.Errorf("%+v", got)
		}
	})
}

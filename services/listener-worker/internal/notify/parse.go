// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mailpush.internal/services/listener-worker/internal/header"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// maxName bounds what a mail store calls a user, in bytes.
const maxName = 1024

// notification is what a mail store says, as it says it. Of UIDs it may know none, which
// is 0: then something has come, and who looks finds what.
type notification struct {
	User        string  `json:"user"`
	Event       string  `json:"event"`
	Folder      string  `json:"folder"`
	UIDValidity uint32  `json:"imap-uidvalidity"`
	UID         uint32  `json:"imap-uid"`
	From        string  `json:"from"`    // as in the header: with words of RFC 2047
	Subject     string  `json:"subject"` // likewise
	Unseen      *uint32 `json:"unseen"`
	Unread      *uint32 `json:"unread"` // the same in older versions
}

// parse reads a notification. Its error is a text for whoever sent it.
func parse(body []byte) (notification, error) {
	var said notification
	if err := json.Unmarshal(body, &said); err != nil {
		return notification{}, explain(err)
	}
	for name, value := range map[string]string{"user": said.User, "event": said.Event, "folder": said.Folder} {
		switch {
		case value == "":
			return notification{}, fmt.Errorf("%s: is missing", name)
		case len(value) > maxName:
			return notification{}, fmt.Errorf("%s: has more than %d bytes", name, maxName)
		}
	}
	return said, nil
}

// explain says what is wrong with JSON without repeating it.
func explain(err error) error {
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		name := wrong.Field
		if name == "" {
			return errors.New("want a JSON object")
		}
		want := "a text"
		if strings.HasPrefix(name, "imap-") || name == "unseen" || name == "unread" {
			want = "a number from 0 to 4294967295"
		}
		return fmt.Errorf("%s: want %s", name, want)
	}
	return errors.New("the body is not JSON")
}

func (n notification) newMail() bool { return strings.EqualFold(n.Event, "messageNew") }

func (n notification) inbox() bool { return strings.EqualFold(n.Folder, mailbox.Inbox) }

// unseen is how many mails without \Seen there are, if that is said.
func (n notification) unseen() (uint32, bool) {
	for _, count := range []*uint32{n.Unseen, n.Unread} {
		if count != nil {
			return *count, true
		}
	}
	return 0, false
}

// hint is what the notification means, for listeners of a backend.
func (n notification) hint(backend string, at time.Time) hints.Hint {
	hint := hints.Hint{Hint: mailbox.Hint{Folder: mailbox.Inbox, At: at}, Backend: backend, Name: n.User}
	if n.UID == 0 || n.UIDValidity == 0 {
		return hint
	}
	hint.UIDValidity, hint.UID = n.UIDValidity, n.UID
	if unseen, said := n.unseen(); said {
		hint.Unseen = unseen
		hint.Mail = &mailbox.Mail{
			UID: n.UID, ReceivedAt: at, Size: mailbox.SizeUnknown,
			From: header.Sender([]byte(n.From), header.MaxText), Subject: header.Text([]byte(n.Subject), header.MaxText),
		}
	}
	return hint
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailnotify

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// leading is how many fields come before the options.
	leading = 6
	// maxOptions bounds the options; nobody sends any but the secret.
	maxOptions = 100
	// maxName bounds what a mail store calls a user.
	maxName = 1024
)

// datagram is what a datagram says.
type datagram struct {
	user             string
	option           string // the first one
	newMail, inbox   bool
	uidValidity, uid uint32 // zero where it names no mail
}

// parse reads a datagram: method, class, priority, user, mailbox, the number of options,
// the options and a message, each ended by a NUL. The last one may lack it.
func parse(data []byte) (datagram, error) {
	fields := bytes.Split(bytes.TrimSuffix(data, []byte{0}), []byte{0})
	if len(fields) < leading {
		return datagram{}, errors.New("it has too few fields")
	}
	count, err := strconv.ParseUint(string(fields[5]), 10, 32)
	switch {
	case err != nil || count > maxOptions:
		return datagram{}, errors.New("its number of options is none")
	case uint64(len(fields)) < leading+count:
		return datagram{}, errors.New("it has fewer options than it says")
	}
	out := datagram{user: string(fields[3])}
	if count > 0 {
		out.option = string(fields[leading])
	}
	switch class := string(fields[1]); {
	case strings.EqualFold(class, "MAIL"):
		out.newMail, out.inbox = true, isInbox(string(fields[4]), out.user)
	case strings.EqualFold(class, "EVENT"):
		message := bytes.Join(fields[leading+count:], []byte{0})
		if err := out.readEvent(message); err != nil {
			return datagram{}, err
		}
	default:
		return out, nil
	}
	if out.newMail && (out.user == "" || len(out.user) > maxName) {
		return datagram{}, errors.New("it names no user")
	}
	return out, nil
}

// readEvent reads what Cyrus tells of an event (RFC 5423).
func (d *datagram) readEvent(message []byte) error {
	var said struct {
		Event string `json:"event"`
		User  string `json:"user"`
		URI   string `json:"uri"`
	}
	if err := json.Unmarshal(message, &said); err != nil {
		return errors.New("its event is not JSON")
	}
	d.newMail = strings.EqualFold(said.Event, "MessageNew") || strings.EqualFold(said.Event, "MessageAppend")
	if said.User != "" {
		d.user = said.User
	}
	if !d.newMail {
		return nil
	}
	at, err := url.Parse(said.URI) // imap://user@host/INBOX;UIDVALIDITY=9/;UID=3 (RFC 5092)
	if err != nil {
		return errors.New("its event has no IMAP URL")
	}
	if d.user == "" && at.User != nil {
		d.user = at.User.Username()
	}
	folder, rest, _ := strings.Cut(strings.TrimPrefix(at.Path, "/"), ";")
	d.inbox = isInbox(folder, d.user)
	for part := range strings.FieldsFuncSeq(rest, func(r rune) bool { return r == ';' || r == '/' }) {
		name, value, _ := strings.Cut(part, "=")
		number, err := strconv.ParseUint(value, 10, 32)
		switch {
		case err != nil:
		case strings.EqualFold(name, "UIDVALIDITY"):
			d.uidValidity = uint32(number)
		case strings.EqualFold(name, "UID"):
			d.uid = uint32(number)
		}
	}
	if d.uid == 0 || d.uidValidity == 0 {
		d.uid, d.uidValidity = 0, 0
	}
	return nil
}

// isInbox tells whether a folder is the user's INBOX, by its own name or as Cyrus names
// it among those of all users.
func isInbox(folder, user string) bool {
	if strings.EqualFold(folder, mailbox.Inbox) {
		return true
	}
	for _, separator := range []string{".", "/"} {
		if folder == "user"+separator+user {
			return true
		}
	}
	return false
}

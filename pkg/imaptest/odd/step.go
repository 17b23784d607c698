// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"context"

	"mailpush.internal/pkg/imaptest"
)

// Step is one thing that happens. Exactly one field is set, but for Times.
type Step struct {
	// Arrive puts mails into the folder and tells of them.
	Arrive []imaptest.OddMail
	// Add puts mails into the folder and keeps quiet.
	Add []imaptest.OddMail
	// Say is said to who waits in IDLE.
	Say string
	// Expunge takes away the mail with this UID and says so, Remove keeps quiet.
	Expunge, Remove uint32
	// Told waits until the client has told of the mail with this UID.
	Told uint32
	// Came waits until a command has come Times times.
	Came  string
	Times int
}

// Play has the step happen at a server; told waits until the client has told of a mail.
func (s Step) Play(ctx context.Context, server *imaptest.OddServer, told func(uid uint32)) error {
	switch {
	case s.Arrive != nil:
		server.Arrive(s.Arrive...)
	case s.Add != nil:
		server.Add(s.Add...)
	case s.Say != "":
		server.Say(s.Say)
	case s.Expunge != 0:
		server.Expunge(s.Expunge)
	case s.Remove != 0:
		server.Remove(s.Remove)
	case s.Told != 0:
		told(s.Told)
	case s.Came != "":
		return server.Await(ctx, s.Came, s.Times)
	}
	return nil
}

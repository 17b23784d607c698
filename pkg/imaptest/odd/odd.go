// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package odd is a collection of odd IMAP servers, each with what a client tells of
// that reads it right: every mail that can be read, once and by ascending UID, whatever
// else the server says.
//
// Invariant: the package knows servers and mails, no client. Who plays a server goes
// through its steps, then lets one more honest mail arrive and waits for it: so nothing
// told too much is missed, and no odd server may leave a client deaf.
package odd

import (
	"fmt"
	"time"

	"mailpush.internal/pkg/imaptest"
)

// What a client logs in with. The password is hard to quote, so that its forms differ.
const (
	User     = "anna"
	Password = `tr0ub4dor"&3\x%41`
)

// Server is an odd server, what happens at it, and what a client tells of.
type Server struct {
	// Name says what is odd: the kind, a colon, the oddity.
	Name string
	// Odd is how the server behaves.
	Odd imaptest.Odd
	// Steps are what happens, from when a client first waits for mail.
	Steps []Step
	// Want is what a client tells of, in order.
	Want []Mail
	// Connections are the most that a client makes; 1 when 0, any number when negative.
	Connections int
	// Reads are the most UID FETCH and UID SEARCH a client sends; any number when 0.
	Reads int
	// Refresh is how often a client is to ask by itself whether there is mail; 0 leaves it
	// to the client.
	Refresh time.Duration
	// Slow is true where a client needs time for all that comes; it waits for nothing in vain.
	Slow bool
	// Polls is true where no client can wait in IDLE.
	Polls bool
	// Says is what one of the client's complaints has in it, in any case of letters;
	// empty where it has nothing to complain of.
	Says string
	// Shut is true where no client ever gets to the mails.
	Shut bool
}

// Mail is what a client tells of one mail. An empty From or Subject is not compared.
type Mail struct {
	UID           uint32
	From, Subject string
	// Blank is true where neither From nor Subject can be read: both are empty then.
	Blank bool
	// Timeless is true where the time of arrival cannot be read: none is made up.
	Timeless bool
}

// Servers returns all of them, each with a name of its own.
func Servers() []Server {
	var all []Server
	for _, kind := range []func() []Server{
		damage, envelopes, values, framesOfMails, absence, evidence, unused, merged, deaf, secondWays,
		framing, untagged, numbers, pipelining, display, addresses, nesting, literals, floods, strangers, goodbyes, echoes,
	} {
		all = append(all, kind()...)
	}
	return all
}

// Named returns the server with a name.
func Named(name string) (Server, error) {
	for _, server := range Servers() {
		if server.Name == name {
			return server, nil
		}
	}
	return Server{}, fmt.Errorf("no odd server is called %q", name)
}

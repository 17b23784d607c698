// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"fmt"

	"mailpush.internal/pkg/imaptest"
)

// plain is the honest answer for a mail, to be put beside an odd one.
const plain = "* {seq} FETCH (UID {uid} {items})\r\n"

type answers = map[string][]string

// told are mails as the server makes them by itself.
func told(uids ...uint32) []Mail {
	var all []Mail
	for _, uid := range uids {
		all = append(all, Mail{UID: uid, From: "Anna <anna@example.org>", Subject: fmt.Sprint("mail ", uid)})
	}
	return all
}

// whole is a mail that can be read in spite of all.
func whole(uid uint32) Mail { return told(uid)[0] }

// known is a mail of which some is read, and the UID is.
func known(uid uint32) Mail { return Mail{UID: uid} }

// blank is a mail of which there is nothing but that it is there.
func blank(uid uint32) Mail { return Mail{UID: uid, Blank: true} }

// timeless is a mail whose time of arrival cannot be read.
func timeless(uid uint32) Mail {
	m := whole(uid)
	m.Timeless = true
	return m
}

// arrive is the step of mails that are told of at once.
func arrive(mails ...imaptest.OddMail) Step { return Step{Arrive: mails} }

// one is the step of one honest mail.
func one() Step { return arrive(imaptest.OddMail{}) }

// some are n honest mails.
func some(n int) []imaptest.OddMail { return make([]imaptest.OddMail, n) }

// quiet is a server where one mail arrives after something was said to who waits; the
// client tells of the mail over the connection it has.
func quiet(name, say string) Server {
	return Server{Name: name, Steps: []Step{{Say: say}, one()}, Want: told(10)}
}

// says is a server that answers as scripted and is honest else, where one mail arrives.
func says(name string, on answers) Server {
	return Server{Name: name, Odd: imaptest.Odd{On: on}, Steps: []Step{one()}, Want: told(10)}
}

// amid has an odd mail arrive between two honest ones.
func amid(name string, m imaptest.OddMail, want func(uid uint32) Mail) Server {
	return at(name, m, want, false, true, false)
}

// among has an odd mail arrive first, in the middle and last of three, and three of them.
func among(name string, m imaptest.OddMail, want func(uid uint32) Mail) []Server {
	return []Server{
		at(name+", first", m, want, true, false, false),
		at(name+", in the middle", m, want, false, true, false),
		at(name+", last", m, want, false, false, true),
		at(name+", all", m, want, true, true, true),
	}
}

func at(name string, m imaptest.OddMail, want func(uid uint32) Mail, odd ...bool) Server {
	s := Server{Name: name}
	var mails []imaptest.OddMail
	for i, is := range odd {
		uid := uint32(10 + i)
		if is {
			mails = append(mails, m)
			if want != nil { // else it is not told of
				s.Want = append(s.Want, want(uid))
			}
			continue
		}
		mails = append(mails, imaptest.OddMail{})
		s.Want = append(s.Want, whole(uid))
	}
	s.Steps = []Step{arrive(mails...)}
	return s
}

// often lets a client make as many connections as it likes.
func often(servers ...Server) []Server {
	for i := range servers {
		servers[i].Connections = -1
	}
	return servers
}

// few lets a client connect anew once or twice, to find the way that works.
func few(servers ...Server) []Server {
	for i := range servers {
		servers[i].Connections = 3
	}
	return servers
}

// slow lets a client take its time.
func slow(servers ...Server) []Server {
	for i := range servers {
		servers[i].Slow = true
	}
	return servers
}

// torn adds servers that send each byte in a packet of its own.
func torn(servers ...Server) []Server {
	all := servers
	for _, s := range servers {
		s.Name += ", byte by byte"
		s.Odd.Piece = 1
		all = append(all, s)
	}
	return all
}

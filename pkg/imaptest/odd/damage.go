// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"fmt"
	"strings"

	"mailpush.internal/pkg/imaptest"
)

// damage is of mails that cannot be read, or not in the way others can: it is theirs,
// and neither their neighbours' nor the connection's.
func damage() []Server {
	all := among("damage: the range of a mail ends in NO",
		imaptest.OddMail{Deny: "{tag} NO [SERVERBUG] cannot read it\r\n"}, blank)
	all = append(all, often(among("damage: the server ends the connection at a mail",
		imaptest.OddMail{Deny: "{close}"}, blank)...)...)
	all = append(all, often(
		amid("damage: the server ends the connection inside a mail",
			imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} {date} {section} {200}\r\nFrom: {close}"}, known),
		amid("damage: the server hangs at a mail",
			imaptest.OddMail{Deny: "{hang}"}, blank),
		amid("damage: a header whose length takes in the end of the answer",
			imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} {section} {4000}\r\n{text})\r\n"}, known),
	)...)
	return append(all,
		amid("damage: the range of a mail ends in BAD",
			imaptest.OddMail{Deny: "{tag} BAD internal error\r\n"}, blank),
		amid("damage: the range of a mail ends in NO, the mail is shown",
			imaptest.OddMail{Raw: plain, Deny: "{tag} NO some were not read\r\n"}, whole),
		amid("damage: the range of a mail ends in NO twice",
			imaptest.OddMail{Deny: "{tag} NO [INUSE] later\r\n", First: 2}, whole),
		many("damage: 120 mails, the range of one ends in NO"),
		Server{
			Name:  "damage: found at a reconnect",
			Steps: []Step{{Add: []imaptest.OddMail{{}, {Deny: "{tag} NO no\r\n"}, {}}}, {Say: "{close}"}},
			Want:  []Mail{whole(10), blank(11), whole(12)}, Connections: 2,
		},
	)
}

// many has one mail of 120 refused: finding it takes halving.
func many(name string) Server {
	mails := some(120)
	mails[77] = imaptest.OddMail{Deny: "{tag} NO no\r\n"}
	s := Server{Name: name, Steps: []Step{arrive(mails...)}, Reads: 80}
	for uid := uint32(10); uid < 130; uid++ {
		if uid == 87 {
			s.Want = append(s.Want, blank(uid))
		} else {
			s.Want = append(s.Want, whole(uid))
		}
	}
	return s
}

// envelopes is of what nobody asked for beside what was asked for.
func envelopes() []Server {
	beside := func(what string) imaptest.OddMail {
		return imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} " + what + " {items})\r\n"}
	}
	const eve = `(("Eve" NIL "eve" "example.net"))`
	all := among("envelope: nine fields, and nobody asked",
		beside(`ENVELOPE ("Mon, 2 Mar 2026 08:00:00 +0000" "lunch" `+eve+` `+eve+` NIL NIL NIL NIL NIL)`), whole)
	return append(all,
		amid("envelope: a bare quote inside a string",
			beside(`ENVELOPE (NIL "the 17" screen" `+eve+` NIL NIL NIL NIL NIL NIL "<1@example.net>")`), known),
		amid("envelope: a space before the end of a list",
			beside(`ENVELOPE (NIL "lunch" `+eve+` NIL NIL NIL NIL NIL NIL NIL )`), whole),
		amid("envelope: lower-case nil", beside(`ENVELOPE (nil "lunch" nil nil nil nil nil nil nil nil)`), whole),
		amid("envelope: labels, quoted and with brackets", beside(`X-GM-LABELS (\Inbox "[Gmail]/Sent" "a b")`), whole),
		amid("envelope: a body structure", beside(`BODYSTRUCTURE ((("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "8BIT" 9 1)`+
			`("TEXT" "HTML" NIL NIL NIL "7BIT" 9 1) "ALTERNATIVE")("IMAGE" "PNG" NIL NIL NIL "BASE64" 9) "MIXED")`), whole),
		amid("envelope: lists in a hundred lists",
			beside("X-TREE "+strings.Repeat("(", 100)+strings.Repeat(")", 100)), known),
		amid("envelope: a keyword in UTF-8", beside(`FLAGS (\Seen Важно)`), whole),
		amid("envelope: a keyword with a bracket", beside(`FLAGS (\Seen Seen-[All]/Sent "two words")`), whole),
		Server{
			Name: "envelope: 8,000 recipients, each of three times",
			Steps: []Step{arrive(
				beside(recipients(8000)), beside(recipients(8000)), beside(recipients(8000)), imaptest.OddMail{},
			)},
			Want: []Mail{known(10), known(11), known(12), whole(13)}, Connections: -1,
		},
		Server{
			Name: "envelope: the whole header in place of three fields",
			Steps: []Step{arrive(
				imaptest.OddMail{Raw: wholeHeader(6000)}, imaptest.OddMail{Raw: wholeHeader(6000)}, imaptest.OddMail{},
			)},
			Want: []Mail{known(10), known(11), whole(12)}, Connections: -1,
		},
	)
}

// recipients is an envelope with a long To.
func recipients(n int) string {
	return `ENVELOPE (NIL "to all" NIL NIL NIL (` + strings.Repeat(`(NIL NIL "somebody.else" "department.example.net")`, n) +
		`) NIL NIL NIL NIL)`
}

// wholeHeader is an answer with a header much longer than was asked for.
func wholeHeader(recipients int) string {
	header := "From: Anna <anna@example.org>\r\nSubject: to all\r\nTo: " +
		strings.Repeat("somebody.else@department.example.net,\r\n ", recipients) + "me@example.org\r\n\r\n"
	return fmt.Sprintf("* {seq} FETCH (UID {uid} {date} {size} BODY[HEADER] {%d}\r\n%s)\r\n", len(header), header)
}

// values is of single values that are not what they should be.
func values() []Server {
	all := among("value: a date as mails have it", imaptest.OddMail{Date: `"Sun, 01 Mar 2026 10:00:00 +0000"`}, whole)
	for _, date := range [][2]string{
		{"NIL", "NIL"},
		{"empty", `""`},
		{"in seconds", "1772359200"},
		{"of no month", `"41-Foo-2026 10:00:00 +0000"`},
		{"of year 1", `"01-Jan-0001 00:00:00 +0000"`},
		{"as a literal", "{4}\r\nsoon"},
	} {
		all = append(all, amid("value: a date "+date[0], imaptest.OddMail{Date: date[1]}, timeless))
	}
	for _, size := range [][2]string{
		{"negative", "-1"},
		{"NIL", "NIL"},
		{"of 70 bits", "1180591620717411303424"},
		{"with a fraction", "12.5"},
		{"quoted", `"4321"`},
	} {
		all = append(all, amid("value: a size "+size[0], imaptest.OddMail{Size: size[1]}, whole))
	}
	return append(all,
		amid("value: neither date nor size", imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} {section} {header})\r\n"}, timeless),
		amid("value: a header that is NIL", imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} {date} {size} {section} NIL)\r\n"}, blank),
		amid("value: an empty header", imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} {date} {size} {section} \"\")\r\n"}, blank),
		amid("value: a header in quotes", imaptest.OddMail{
			Raw: "* {seq} FETCH (UID {uid} {date} {size} {section} \"Subject: short\")\r\n",
		}, func(uid uint32) Mail { return Mail{UID: uid, Subject: "short"} }),
		amid("value: a header with NUL and lone CR", imaptest.OddMail{
			Header: "From: Anna <anna@example.org>\r\nX: a\x00b\rc\r\nSubject: mail 11\r\n\r\n",
		}, whole),
	)
}

// framesOfMails is of FETCH answers whose form is not what it should be.
func framesOfMails() []Server {
	const header = "From: Anna <anna@example.org>\r\nSubject: mail 11\r\n\r\n"
	counted := func(by int) string {
		return fmt.Sprintf("* {seq} FETCH (UID {uid} {date} {size} {section} {%d}\r\n%s)\r\n", len(header)+by, header)
	}
	raw := func(text string) imaptest.OddMail { return imaptest.OddMail{Raw: text} }
	all := among("frame: an empty line after the answer", raw(plain+"\r\n"), whole)
	all = append(all, torn(amid("frame: an empty line after the header",
		raw("* {seq} FETCH (UID {uid} {date} {size} {section} {header}\r\n)\r\n"), whole))...)
	return append(all,
		amid("frame: a space before the end", raw("* {seq} FETCH (UID {uid} {items} )\r\n"), whole),
		amid("frame: a space after the beginning", raw("* {seq} FETCH ( UID {uid} {items})\r\n"), whole),
		amid("frame: one parenthesis too many", raw("* {seq} FETCH (UID {uid} {items}))\r\n"), whole),
		amid("frame: one parenthesis too few", raw("* {seq} FETCH (UID {uid} {items}\r\n"), whole),
		amid("frame: no space between the items", raw("* {seq} FETCH (UID {uid}{date}{size} {section}{header})\r\n"), known),
		amid("frame: a header counted two short", raw(counted(-2)), whole),
		amid("frame: a stray quote in a quoted header",
			raw("* {seq} FETCH (UID {uid} {date} {size} {section} \"Subject: the 17\" screen\")\r\n"), known),
		amid("frame: lower-case names", raw("* {seq} fetch (uid {uid} internaldate \"01-mar-2026 10:00:00 +0000\" rfc822.size 7 "+
			"body[header.fields (from subject date)]<0> {header})\r\n"), whole),
		amid("frame: field names in quotes",
			raw("* {seq} FETCH (UID {uid} {date} {size} BODY[HEADER.FIELDS (\"FROM\" \"SUBJECT\" \"DATE\")]<0> {header})\r\n"), whole),
		amid("frame: field names in another order",
			raw("* {seq} FETCH (UID {uid} {date} {size} BODY[HEADER.FIELDS (Date From Subject)]<0> {header})\r\n"), whole),
		amid("frame: no origin of the partial",
			raw("* {seq} FETCH (UID {uid} {date} {size} BODY[HEADER.FIELDS (FROM SUBJECT DATE)] {header})\r\n"), whole),
		amid("frame: PEEK in the answer",
			raw("* {seq} FETCH (UID {uid} {date} {size} BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]<0> {header})\r\n"), whole),
		amid("frame: the UID comes last", raw("* {seq} FETCH ({items} UID {uid})\r\n"), whole),
		amid("frame: the UID has leading zeros", raw("* {seq} FETCH (UID 000{uid} {items})\r\n"), whole),
	)
}

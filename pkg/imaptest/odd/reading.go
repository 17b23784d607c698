// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"fmt"
	"strings"
	"time"

	"mailpush.internal/pkg/imaptest"
)

// absence is of mails that the server counts and does not show yet. Silence is not
// absence: they are told of when they are shown, and none is lost.
func absence() []Server {
	all := among("absence: shown at the fourth look", imaptest.OddMail{Hidden: true, First: 3}, whole)
	all = append(all, among("absence: shown after a while", imaptest.OddMail{Hidden: true, For: 150 * time.Millisecond}, whole)...)
	late := func(looks int) imaptest.OddMail { return imaptest.OddMail{Hidden: true, First: looks} }
	burst := some(150)
	burst[140] = late(3)
	var uids []uint32
	for uid := uint32(10); uid < 160; uid++ {
		uids = append(uids, uid)
	}
	blind := Server{
		Name: "absence: 150 mails, UID SEARCH finds none", Odd: imaptest.Odd{On: answers{"UID SEARCH": {"* SEARCH\r\n{ok}"}}},
		Steps: []Step{arrive(some(150)...)}, Want: told(uids...),
	}
	last := at("absence: the last mail comes in place of the new one", late(3), whole, true)
	last.Odd.Quirks = imaptest.LastForNothing
	return append(all, last, blind,
		amid("absence: UID SEARCH finds it, UID FETCH does not", imaptest.OddMail{Deny: "{ok}", First: 3}, whole),
		Server{
			Name:  "absence: the connection ends meanwhile",
			Steps: []Step{arrive(late(5), imaptest.OddMail{}), {Came: "UID FETCH", Times: 2}, {Say: "{close}"}},
			Want:  told(10, 11), Connections: 2,
		},
		Server{
			Name:  "absence: found at a reconnect",
			Steps: []Step{{Add: []imaptest.OddMail{{}, late(4), {}}}, {Say: "{close}"}},
			Want:  told(10, 11, 12), Connections: 2,
		},
		Server{
			Name: "absence: nobody tells of it, and it is late", Odd: imaptest.Odd{Quirks: imaptest.Silent},
			Steps: []Step{{Add: []imaptest.OddMail{late(3)}}}, Want: told(10), Refresh: 200 * time.Millisecond,
		},
		Server{Name: "absence: one of 150", Steps: []Step{arrive(burst...)}, Want: told(uids...)},
		Server{
			Name:  "absence: more mail arrives meanwhile",
			Steps: []Step{arrive(late(4)), one(), {Came: "UID FETCH", Times: 2}, one()}, Want: told(10, 11, 12),
		},
		amid("absence: no UID in the answer at first",
			imaptest.OddMail{Raw: "* {seq} FETCH ({items})\r\n", First: 2}, whole),
		amid("absence: nothing but the UID at first",
			imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid})\r\n", First: 2}, whole),
		amid("absence: nothing but flags at first",
			imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid} FLAGS (\\Recent))\r\n", First: 2}, whole),
		amid("absence: a NO at first",
			imaptest.OddMail{Deny: "{tag} NO not yet\r\n", First: 2}, whole),
		Server{
			Name: "absence: another mail is expunged meanwhile",
			// The evidence is of a mail long known, and no reason to give up the new one.
			Steps: []Step{one(), {Told: 10}, arrive(late(4)), {Came: "UID FETCH", Times: 2}, {Expunge: 10}},
			Want:  told(10, 11),
		},
	)
}

// evidence is of mails that are gone, by what says so: those behind them come.
func evidence() []Server {
	hidden := imaptest.OddMail{Hidden: true}
	return []Server{
		{
			Name:  "evidence: EXPUNGE",
			Steps: []Step{arrive(hidden, imaptest.OddMail{}), {Expunge: 10}}, Want: told(11),
		},
		{
			Name:  "evidence: VANISHED",
			Steps: []Step{arrive(hidden, imaptest.OddMail{}), {Remove: 10}, {Say: "* VANISHED 10\r\n"}}, Want: told(11),
		},
		{
			Name: "evidence: EXISTS never counted it",
			Steps: []Step{
				arrive(imaptest.OddMail{Gone: true}, imaptest.OddMail{}), {Told: 11},
				arrive(imaptest.OddMail{}, imaptest.OddMail{Gone: true}),
			},
			Want: told(11, 12),
		},
		{
			Name:  "evidence: nothing but gone mails",
			Steps: []Step{arrive(imaptest.OddMail{Gone: true}, imaptest.OddMail{Gone: true}), one()}, Want: told(12),
		},
		{
			Name:  "evidence: none, and it never comes", // so it is given up in the end
			Steps: []Step{arrive(imaptest.OddMail{}, hidden, imaptest.OddMail{})}, Want: told(10, 12),
		},
		{
			Name:  "evidence: EXPUNGE of 500 mails, and one comes",
			Steps: []Step{{Add: some(1)}, {Say: "* 503 EXISTS\r\n{times:500:* 1 EXPUNGE\r\n}* 4 EXISTS\r\n"}}, Want: told(10),
		},
		{
			Name: "evidence: EXISTS and EXPUNGE of mails that never were",
			Steps: []Step{
				{Say: "* 4 EXISTS\r\n* 4 EXPUNGE\r\n"}, arrive(imaptest.OddMail{UID: 12}), {Told: 12},
				{Say: "* 3 EXPUNGE\r\n* 4 EXISTS\r\n"},
			},
			Want: told(12),
		},
	}
}

// unused is of what a client has no use for, and so no opinion about.
func unused() []Server {
	opens := func(name, line string) Server {
		return says("unused: "+name+", at EXAMINE", answers{"EXAMINE": {line + "\r\n{data}{ok}"}, "SELECT": {line + "\r\n{data}{ok}"}})
	}
	var all []Server
	for _, line := range [][2]string{
		{"a flag with a bracket", `* FLAGS (\Answered Seen-[All]/Sent \Draft)`},
		{"a flag in UTF-8", `* FLAGS (\Seen Ważne Важно)`},
		{"a flag in quotes", `* FLAGS (\Seen "my own")`},
		{"flags that are NIL", "* FLAGS NIL"},
		{"flags without an end", `* FLAGS (\Seen \Draft`},
	} {
		all = append(all, opens(line[0], line[1]), quiet("unused: "+line[0]+", in IDLE", line[1]+"\r\n"))
	}
	all = append(all,
		opens("20,000 keywords", `* FLAGS (\Seen `+strings.Repeat("$Label ", 20000)+")"),
		opens("permanent flags in a muddle", `* OK [PERMANENTFLAGS (\Deleted \*]) "hm]`),
		opens("a modification sequence of 70 bits", "* OK [HIGHESTMODSEQ 1180591620717411303424] ok"),
		opens("an unknown code without an end", "* OK [X-ODD (1 2"),
		opens("a NO that is none of ours", "* NO [OVERQUOTA] nearly full"),
		opens("UNSEEN of no number", "* OK [UNSEEN none] ok"),
		quiet("unused: a keyword in UTF-8 for an old mail, in IDLE", "* 2 FETCH (FLAGS (\\Seen Важно))\r\n"),
		quiet("unused: flags of an old mail without an end, in IDLE", "* 2 FETCH (FLAGS (\\Seen\r\n"),
		quiet("unused: a size of an old mail, in IDLE", "* 2 FETCH (RFC822.SIZE -1 X \"\r\n"),
		says("unused: capabilities with parentheses", answers{"CAPABILITY": {"* CAPABILITY {caps} X(Y( \"Z\" [\r\n{ok}"}}),
	)
	return append(all,
		says("unused: a STATUS with more than was asked for", answers{
			"STATUS": {"* STATUS \"Inbox\" (MESSAGES -1 UIDNEXT {next} UIDVALIDITY {validity} UNSEEN 4 X-SIZE (1 (2))) \r\n{ok}"},
		}),
		says("unused: a STATUS whose name is a literal", answers{
			"STATUS": {"* STATUS {5}\r\nINBOX (UIDNEXT {next} UIDVALIDITY {validity} UNSEEN 4)\r\n{ok}"},
		}),
		says("unused: a STATUS of another folder first", answers{
			"STATUS": {"* STATUS Drafts (UIDNEXT 999 UIDVALIDITY 5 UNSEEN 0)\r\n{data}{ok}"},
		}),
	)
}

// merged is of the data of one mail that come in more lines than one.
func merged() []Server {
	raw := func(text string) imaptest.OddMail { return imaptest.OddMail{Raw: text} }
	all := among("merged: flags of the mail come first", raw("* {seq} FETCH (FLAGS (\\Recent))\r\n"+plain), whole)
	halves := amid("merged: two lines", raw("* {seq} FETCH (UID {uid} {date})\r\n* {seq} FETCH (UID {uid} {size} {section} {header})\r\n"), whole)
	all = append(all, torn(halves)...)
	mixed := at("merged: the second half comes after another mail",
		raw("* {seq} FETCH (UID {uid} {date} {size})\r\n"), whole, true, false)
	mixed.Steps[0].Arrive[1].Raw = plain + "* 4 FETCH (UID 10 {section} {50}\r\nFrom: Anna <anna@example.org>\r\nSubject: mail 10\r\n\r\n)\r\n"
	down := at("merged: mails in descending order", imaptest.OddMail{}, whole, true, true, true)
	down.Odd.Quirks = imaptest.Descending
	return append(all, mixed, down, backwards(),
		amid("merged: flags with the UID come first", raw("* {seq} FETCH (UID {uid} FLAGS (\\Recent))\r\n"+plain), whole),
		amid("merged: flags come after", raw(plain+"* {seq} FETCH (FLAGS (\\Seen))\r\n"), whole),
		amid("merged: flags of an old mail come between", raw("* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n"+plain+"* 2 FETCH (FLAGS ())\r\n"), whole),
		amid("merged: three lines, the header first", raw("* {seq} FETCH (UID {uid} {section} {header})\r\n"+
			"* {seq} FETCH (UID {uid} {size})\r\n* {seq} FETCH (UID {uid} {date})\r\n"), whole),
		amid("merged: the second line has no UID", raw("* {seq} FETCH (UID {uid} {date} {size})\r\n* {seq} FETCH ({section} {header})\r\n"), whole),
		amid("merged: the first line has no UID", raw("* {seq} FETCH ({section} {header})\r\n* {seq} FETCH (UID {uid} {date} {size})\r\n"), whole),
		amid("merged: the mail comes twice", raw(plain+plain), whole),
		amid("merged: an old mail comes along", raw("* 3 FETCH (UID 9 {items})\r\n"+plain), whole),
		amid("merged: a mail comes along that is not there yet", raw(plain+"* 99 FETCH (UID 5000 {items})\r\n"), whole),
		amid("merged: a thousand flags come between", raw(strings.Repeat("* 2 FETCH (FLAGS (\\Seen))\r\n", 1000)+plain), whole),
		amid("merged: EXISTS and RECENT come between", raw("* {seq} EXISTS\r\n"+plain+"* 0 RECENT\r\n"), whole),
	)
}

// backwards finds 150 mails from the last to the first, in two lines, whatever was asked.
func backwards() Server {
	var line strings.Builder
	var uids []uint32
	line.WriteString("* SEARCH")
	for i := range uint32(150) {
		fmt.Fprint(&line, " ", 159-i)
		uids = append(uids, 10+i)
		if i == 70 {
			line.WriteString("\r\n* SEARCH")
		}
	}
	return Server{
		Name: "merged: UID SEARCH in descending order, in two lines", Odd: imaptest.Odd{On: answers{"UID SEARCH": {line.String() + "\r\n{ok}"}}},
		Steps: []Step{arrive(some(150)...)}, Want: told(uids...),
	}
}

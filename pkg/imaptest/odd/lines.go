// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import "mailpush.internal/pkg/imaptest"

// framing is of servers whose lines have another form, all of them or the short ones.
func framing() []Server {
	quirk := func(name string, q imaptest.Quirk) Server {
		return Server{
			Name: "framing: " + name, Odd: imaptest.Odd{Quirks: q},
			Steps: []Step{one(), {Told: 10}, arrive(some(2)...)}, Want: told(10, 11, 12),
		}
	}
	all := torn(
		Server{Name: "framing: nothing odd", Steps: []Step{one()}, Want: told(10)},
		quirk("two spaces for one", imaptest.DoubleSpaces),
		quirk("spaces at the end of lines", imaptest.TrailingSpaces),
		quirk("empty lines between lines", imaptest.BlankLines),
		quirk("LF alone", imaptest.BareLF),
		quirk("CR CR LF", imaptest.DoubleCR),
		quirk("lower case", imaptest.LowerCase),
		quirk("lower case, two spaces, LF alone", imaptest.LowerCase|imaptest.DoubleSpaces|imaptest.BareLF),
	)
	cut := func(name string, after ...string) Server {
		return Server{
			Name: "framing: packets end " + name, Odd: imaptest.Odd{CutAfter: after},
			Steps: []Step{arrive(some(3)...)}, Want: told(10, 11, 12),
		}
	}
	return append(all,
		cut("between CR and LF", "\r"),
		cut("inside the length of a literal", "{", "{1", "{4"),
		cut("after the length of a literal", "}\r\n"),
		cut("inside a tag and a word", "* ", "EXI", " O", "FET"),
		says("framing: a bare + for IDLE", answers{"IDLE": {"+\r\n"}}),
		says("framing: + with a text without a space", answers{"IDLE": {"+idling\r\n"}}),
		says("framing: * OK before the + for IDLE", answers{"IDLE": {"* OK wait\r\n+ idling\r\n"}}),
		says("framing: an answer without a text", answers{"EXAMINE": {"{data}{tag} OK\r\n"}, "STATUS": {"{data}{tag} OK\r\n"}}),
		says("framing: an answer in 8 bits", answers{"EXAMINE": {"{data}{tag} OK [READ-ONLY] ge\xf6ffnet, Входящие\r\n"}}),
		says("framing: the end of IDLE has no tag", answers{"DONE": {" OK IDLE completed.\r\n"}}),
		says("framing: the end of IDLE has a star for a tag", answers{"DONE": {"* OK IDLE completed.\r\n"}}),
		says("framing: the end of IDLE is BAD", answers{"DONE": {"{tag} BAD what is DONE?\r\n"}}),
	)
}

// untagged is of data that nobody asked for, at every place.
func untagged() []Server {
	const noise = "* X-PUSH \"a\" {3}\r\nb\r\n (c) [d\r\n* VANISHED 1:2\r\n* NOTIFICATIONOVERFLOW\r\n" +
		"* ESEARCH (TAG \"x\") UID ALL 1:3\r\n* STATUS \"Caf&AOk-\" (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 1)\r\n" +
		"* LIST (\\HasNoChildren) \"/\" \"a b\"\r\n* ENABLED CONDSTORE\r\n*\r\n* \r\n* 99\r\n* 7 NEWS\r\n\r\n* OK\r\n* 1 RECENT\r\n"
	before := func(command string) Server {
		return says("untagged: all sorts, at "+command, answers{command: {noise + "{data}{ok}"}})
	}
	ours := quiet("untagged: STATUS of the folder, in IDLE", "* STATUS INBOX (MESSAGES 3 UIDNEXT 10 UIDVALIDITY 1700000000)\r\n")
	greeting := says("untagged: all sorts, after the greeting", answers{"GREETING": {"* OK [CAPABILITY {caps}] ready\r\n" + noise}})
	return append(torn(
		quiet("untagged: all sorts, in IDLE", noise),
		before("AUTHENTICATE"), before("EXAMINE"), before("STATUS"), before("UID FETCH"),
	), greeting, ours, before("CAPABILITY"),
		quiet("untagged: + again, in IDLE", "+ still here\r\n"),
		quiet("untagged: a bare +, in IDLE", "+\r\n"),
		quiet("untagged: an empty line, in IDLE", "\r\n"),
		quiet("untagged: a CR alone, in IDLE", "* OK a\rb\r\n\r"),
		quiet("untagged: NUL, in IDLE", "* OK a\x00b\r\n\x00\r\n"),
		quiet("untagged: words in 8 bits, in IDLE", "* OK \xff\xfe \x80\r\n"),
		quiet("untagged: EXISTS of 70 bits, in IDLE", "* 1180591620717411303424 EXISTS\r\n"),
		quiet("untagged: a negative EXISTS, in IDLE", "* -4 EXISTS\r\n"),
		quiet("untagged: EXPUNGE of nothing, in IDLE", "* 0 EXPUNGE\r\n* 999 EXPUNGE\r\n"),
		quiet("untagged: a BAD, in IDLE", "* BAD you are not to blame\r\n"),
	)
}

// numbers is of UIDs where arithmetic and patience end.
func numbers() []Server {
	at := func(name string, next uint32, mails ...imaptest.OddMail) Server {
		return Server{Name: "numbers: " + name, Odd: imaptest.Odd{UIDNext: next}, Steps: []Step{arrive(mails...)}, Reads: 30}
	}
	top := at("the last UIDs but one", 4294967290, some(2)...)
	top.Want = told(4294967290, 4294967291)
	edge := at("the end of UIDs in sight", 4294967292, imaptest.OddMail{UID: 4294967293})
	edge.Want = told(4294967293)
	jump := at("a jump of 700 million", 10, imaptest.OddMail{UID: 712345678})
	jump.Want = told(712345678)
	sparse := at("three mails in 4,000 million", 10,
		imaptest.OddMail{}, imaptest.OddMail{UID: 2000000000}, imaptest.OddMail{UID: 4000000000})
	sparse.Want = told(10, 2000000000, 4000000000)
	var wide []imaptest.OddMail
	gaps := at("120 mails, a million apart", 10)
	for i := range uint32(120) {
		uid := 10 + i*1_000_000
		wide = append(wide, imaptest.OddMail{UID: uid})
		gaps.Want = append(gaps.Want, whole(uid))
	}
	gaps.Steps = []Step{arrive(wide...)}
	burst := at("1,000 mails at once", 10, some(1000)...)
	for uid := range uint32(1000) {
		burst.Want = append(burst.Want, whole(10+uid))
	}
	shut := func(name, validity, says string) Server {
		return Server{Name: "numbers: " + name, Odd: imaptest.Odd{UIDValidity: validity}, Says: says, Shut: true, Connections: -1}
	}
	return append([]Server{top, edge, jump, sparse, gaps, burst},
		shut("UIDVALIDITY of 41 bits", "1713632002544", "UIDVALIDITY"),
		shut("UIDVALIDITY 0", "0", "UIDVALIDITY"),
		shut("UIDVALIDITY that is no number", "soon", "UIDVALIDITY"),
		Server{
			Name: "numbers: UIDNEXT is far behind for a moment", Odd: imaptest.Odd{On: answers{
				"STATUS": {"{data}{ok}", "{data}{ok}", "* STATUS INBOX (UIDNEXT 10 UIDVALIDITY {validity} UNSEEN 0)\r\n{ok}", "{data}{ok}"},
			}},
			Steps: []Step{one(), {Told: 10}, one()}, Want: told(10, 11),
		},
	)
}

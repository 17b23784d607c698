// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"time"

	"mailpush.internal/pkg/imaptest"
)

// deaf is of what makes a client look connected and hear nothing.
func deaf() []Server {
	unclosed := quiet("deaf: a code without its bracket", "* OK [ALERT nearly full\r\n")
	together := Server{
		Name:  "deaf: a code without its bracket, and EXISTS in one packet",
		Steps: []Step{{Add: some(1)}, {Say: "* OK [ALERT nearly full\r\n* {count} EXISTS\r\n"}}, Want: told(10),
	}
	twice := []Step{one(), {Told: 10}, one(), {Told: 11}}
	return append(torn(unclosed, together),
		Server{
			Name: "deaf: STATUS stands still", Odd: imaptest.Odd{Quirks: imaptest.StaleStatus},
			Steps: twice, Want: told(10, 11),
		},
		Server{
			Name: "deaf: STATUS stands still for all that is told", Odd: imaptest.Odd{On: answers{
				"STATUS": {"* STATUS INBOX (UIDNEXT 10 UIDVALIDITY {validity} UNSEEN 0)\r\n{ok}"},
			}},
			Steps: twice, Want: told(10, 11),
		},
		Server{
			Name: "deaf: STATUS stands still, EXISTS hides an expunged mail", Odd: imaptest.Odd{Quirks: imaptest.StaleStatus},
			Steps: []Step{{Add: some(1)}, {Say: "* 1 EXPUNGE\r\n* 3 EXISTS\r\n"}}, Want: told(10),
		},
		Server{
			Name: "deaf: IDLE tells nothing", Odd: imaptest.Odd{Quirks: imaptest.Silent},
			Steps: []Step{{Add: some(1)}}, Want: told(10), Refresh: 200 * time.Millisecond,
		},
		Server{
			Name: "deaf: IDLE tells nothing, STATUS stands still", Odd: imaptest.Odd{Quirks: imaptest.Silent | imaptest.StaleStatus},
			Steps: []Step{{Add: some(1)}}, Want: told(10), Refresh: 200 * time.Millisecond,
		},
		Server{
			Name: "deaf: nothing but RECENT is told", Odd: imaptest.Odd{Quirks: imaptest.StaleStatus},
			Steps: []Step{{Add: some(1)}, {Say: "* 1 RECENT\r\n* 4 EXISTS\r\n"}}, Want: told(10),
		},
		Server{
			Name: "deaf: EXISTS comes with the end of IDLE", Odd: imaptest.Odd{On: answers{
				"DONE": {"{ok}", "* {count} EXISTS\r\n{ok}"},
			}},
			Steps: []Step{one(), {Told: 10}, {Add: some(1)}, {Say: "* OK something\r\n* 9 EXISTS\r\n"}}, Want: told(10, 11),
		},
		quiet("deaf: a quote without its end", "* LIST (\\HasNoChildren) \"/ INBOX\r\n"),
		quiet("deaf: a literal that is none", "* OK see {9}\r\n"),
	)
}

// secondWays is of servers where the usual way is closed and another open.
func secondWays() []Server {
	refused := func(text string) answers { return answers{"EXAMINE": {text}} }
	without := func(s Server, caps string) Server {
		s.Odd.Capabilities = caps
		return s
	}
	id := Server{
		Name: "second way: who sends no ID opens no folder",
		Odd: imaptest.Odd{
			Capabilities: "IMAP4rev1 IDLE ID AUTH=PLAIN SASL-IR", Quirks: imaptest.NeedsID,
		},
		Steps: []Step{one()}, Want: told(10),
	}
	hidden := without(id, "")
	hidden.Name = "second way: who sends no ID opens no folder, and it is not offered"
	polls := says("second way: IDLE is refused", answers{"IDLE": {"{tag} BAD unknown command\r\n"}})
	polls.Polls = true
	unoffered := without(says("second way: IDLE is not offered", nil), "IMAP4rev1 AUTH=PLAIN SASL-IR")
	unoffered.Polls = true
	checked := func(s Server) Server {
		s.Odd.Login, s.Odd.Password = User, Password
		return s
	}
	const onlyIMAP4 = "IMAP4rev1 IDLE"
	shut := func(name, caps, says string, on answers) Server {
		return Server{
			Name: "no way: " + name, Odd: imaptest.Odd{Capabilities: caps, On: on}, Shut: true, Says: says, Connections: -1,
		}
	}
	closed := []Server{
		shut("LOGINDISABLED", "IMAP4rev1 IDLE LOGINDISABLED STARTTLS", "login", nil),
		shut("a referral", "", "other.example.org", answers{
			"AUTHENTICATE": {"{tag} NO [REFERRAL imap://anna@other.example.org/] moved\r\n"},
			"LOGIN":        {"{tag} NO [REFERRAL imap://anna@other.example.org/] moved\r\n"},
		}),
		shut("PREAUTH", "", "PREAUTH", answers{"GREETING": {"* PREAUTH [CAPABILITY {caps}] welcome, somebody\r\n"}}),
		shut("an alert in place of the folder", "", "IMAP access first", answers{
			"EXAMINE": {"* BAD [ALERT] Please switch on IMAP access first\r\n{close}"},
			"SELECT":  {"* BAD [ALERT] Please switch on IMAP access first\r\n{close}"},
		}),
		shut("the folder is not there for now", "", "not connected", answers{
			"EXAMINE": {"{tag} BAD User is known but not connected.\r\n"},
			"SELECT":  {"{tag} BAD User is known but not connected.\r\n"},
		}),
	}
	return append(closed, few(
		id, hidden, polls, unoffered,
		checked(says("second way: PLAIN is offered and refused", answers{"AUTHENTICATE": {"{tag} NO failed\r\n"}})),
		says("second way: PLAIN is offered and a wrong password", answers{"AUTHENTICATE": {"{tag} NO [AUTHENTICATIONFAILED] failed\r\n"}}),
		says("second way: PLAIN is offered and unknown", answers{"AUTHENTICATE": {"{tag} BAD unknown command\r\n"}}),
		checked(without(says("second way: PLAIN without an initial response", nil), "IMAP4rev1 IDLE AUTH=PLAIN")),
		checked(without(says("second way: LOGIN alone", nil), onlyIMAP4)),
		says("second way: EXAMINE is unknown", refused("{tag} BAD unknown command\r\n")),
		says("second way: EXAMINE is refused", refused("{tag} NO not here\r\n")),
		says("second way: EXAMINE is refused as it may be", refused("{tag} NO [CANNOT] read-only folders are not supported\r\n")),
		says("second way: STATUS is unknown", answers{"STATUS": {"{tag} BAD not of the open folder\r\n"}}),
		says("second way: STATUS is refused", answers{"STATUS": {"{tag} NO not of the open folder\r\n"}}),
		says("second way: STATUS tells nothing", answers{"STATUS": {"{ok}"}}),
		says("second way: STATUS tells no UIDNEXT", answers{"STATUS": {"* STATUS INBOX (UIDVALIDITY {validity} UNSEEN 1)\r\n{ok}"}}),
		says("second way: EXAMINE tells no UIDNEXT", answers{"EXAMINE": {"* {count} EXISTS\r\n* OK [UIDVALIDITY {validity}] ok\r\n{ok}"}}),
		says("second way: capabilities are told after the login alone", answers{
			"GREETING": {"* OK hello\r\n"}, "CAPABILITY": {"* CAPABILITY IMAP4rev1\r\n{ok}", "{data}{ok}"},
		}),
		says("second way: capabilities come with the login", answers{
			"GREETING":     {"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n"},
			"AUTHENTICATE": {"{tag} OK [CAPABILITY {caps}] welcome\r\n"},
		}),
		says("second way: NOOP is unknown", answers{"NOOP": {"{tag} BAD unknown command\r\n"}}),
		says("second way: UID SEARCH is unknown", answers{"UID SEARCH": {"{tag} BAD unknown command\r\n"}}),
		says("second way: EXAMINE tells an old UIDNEXT", answers{
			"EXAMINE": {"* {count} EXISTS\r\n* OK [UIDVALIDITY {validity}] ok\r\n* OK [UIDNEXT 10] ok\r\n{ok}"},
		}),
		says("second way: EXAMINE counts mails that are not there", answers{
			"EXAMINE": {"* 99 EXISTS\r\n* OK [UIDVALIDITY {validity}] ok\r\n* OK [UIDNEXT {next}] ok\r\n{ok}"},
		}),
		says("second way: EXISTS before the + for IDLE", answers{"IDLE": {"* {count} EXISTS\r\n* 0 RECENT\r\n+ idling\r\n"}}),
	)...)
}

// pipelining is of servers that hear one command at a time.
func pipelining() []Server {
	drops := Server{
		Name: "pipelining: what comes with DONE is lost", Odd: imaptest.Odd{Quirks: imaptest.DropsAfterDone},
		Steps: []Step{one(), {Told: 10}, one(), {Told: 11}, one()}, Want: told(10, 11, 12), Connections: 3,
	}
	unended := Server{
		Name: "pipelining: DONE ends IDLE without a word", Odd: imaptest.Odd{On: answers{"DONE": {""}}},
		Steps: []Step{one(), {Told: 10}, one(), {Told: 11}, one()}, Want: told(10, 11, 12), Connections: 3,
	}
	return []Server{
		drops, unended,
		{
			Name: "pipelining: both", Odd: imaptest.Odd{Quirks: imaptest.DropsAfterDone, On: answers{"DONE": {""}}},
			Steps: []Step{one(), {Told: 10}, one()}, Want: told(10, 11), Connections: -1,
		},
	}
}

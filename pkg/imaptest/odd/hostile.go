// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"

	"mailpush.internal/pkg/imaptest"
)

// hostile is a server that answers so once and honestly from then on: whatever a client
// makes of it, it comes back. says is in its complaint.
func hostile(name, command, text, says string) Server {
	return Server{
		Name: name, Odd: imaptest.Odd{On: answers{command: {text, honest(command)}}},
		Steps: []Step{one()}, Want: told(10), Connections: -1, Says: says,
	}
}

// stubborn does so three times.
func stubborn(name, command, text, says string) Server {
	s := hostile(name, command, text, says)
	s.Odd.On[command] = []string{text, text, text, honest(command)}
	return s
}

func honest(command string) string {
	switch command {
	case "GREETING":
		return "* OK [CAPABILITY {caps}] ready\r\n"
	case "IDLE":
		return "+ idling\r\n"
	case "DONE":
		return "{ok}"
	default:
		return "{data}{ok}"
	}
}

// places are where a server can say something, by the command it answers, with what a
// client calls the step. Capabilities may be asked for along with something else.
func places() [][2]string {
	return [][2]string{
		{"GREETING", "greeting"}, {"CAPABILITY", "more than"}, {"AUTHENTICATE", "LOGIN"}, {"EXAMINE", "EXAMINE"},
		{"STATUS", "STATUS"}, {"IDLE", "IDLE"}, {"UID FETCH", ""}, {"DONE", ""},
	}
}

// deep is 10 million opening parentheses: a reader that calls itself for each runs out
// of stack, and its process ends.
const deep = "{times:10000000:(}"

func nesting() []Server {
	var all []Server
	for _, place := range places() {
		all = append(all, hostile("nesting: in the tagged end of "+place[0], place[0], "{data}{tag} OK [X "+deep+"] done\r\n", place[1]))
	}
	all[0] = hostile("nesting: in the greeting", "GREETING", "* OK [CAPABILITY "+deep+"\r\n", "greeting")
	for _, data := range [][4]string{
		{"capabilities", "CAPABILITY", "* CAPABILITY ", "more than"},
		{"the folder's flags", "EXAMINE", "* FLAGS ", "EXAMINE"},
		{"STATUS", "STATUS", "* STATUS INBOX ", "STATUS"},
		{"a mail", "UID FETCH", "* 4 FETCH (UID 10 BODYSTRUCTURE ", ""},
		{"an old mail", "UID FETCH", "* 1 FETCH ", ""},
		{"lists of folders, before IDLE", "IDLE", "* LIST ", "IDLE"},
	} {
		all = append(all, hostile("nesting: in "+data[0], data[1], data[2]+deep+"\r\n"+honest(data[1]), data[3]))
	}
	for _, line := range []string{
		"FLAGS ", "2 FETCH ", "2 FETCH (BODYSTRUCTURE ", "2 FETCH (ENVELOPE ", "LIST ", "NAMESPACE ", "THREAD ", "OK [X ", "X ", "STATUS INBOX ",
	} {
		s := quiet("nesting: in IDLE, in "+strings.TrimSpace(line), "* "+line+deep+"\r\n")
		s.Connections = -1
		all = append(all, s)
	}
	return slow(all...)
}

// literals is of literals no client can hold, or even count.
func literals() []Server {
	var all []Server
	for _, length := range []string{
		"2147483648", "4294967295", "9223372036854775807", "9223372036854775808", "18446744073709551616",
		strings.Repeat("9", 400), "-1", "1e9", "0x10", "",
	} {
		name := length
		if len(name) > 30 {
			name = "400 nines"
		}
		idle := quiet("literal: of "+name+" bytes, in IDLE", "* X {"+length+"}\r\nabc\r\n")
		mail := hostile("literal: of "+name+" bytes, in a mail", "UID FETCH",
			"* 4 FETCH (UID 10 BODY[HEADER] {"+length+"}\r\nSubject: x\r\n)\r\n{data}{ok}", "")
		all = append(all, often(idle, mail)...)
	}
	return append(all,
		hostile("literal: in the greeting", "GREETING", "* OK {9223372036854775807}\r\n{hang}", ""),
		hostile("literal: 40 MB of a header", "UID FETCH", "* 4 FETCH (UID 10 BODY[HEADER] {40000000}\r\n{times:40000000:x})\r\n{data}{ok}", ""),
		hostile("literal: it never comes", "UID FETCH", "* 4 FETCH (UID 10 BODY[HEADER] {50}\r\nFrom: {hang}", ""),
	)
}

// floods is of more than anybody can want to read, and of less.
func floods() []Server {
	idle := func(name, say string) Server {
		s := quiet("flood: "+name, say)
		s.Connections = -1
		return s
	}
	const drip = "{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x" +
		"{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{wait:40ms}x{hang}"
	return append(slow(
		idle("64 MB of lines, in IDLE", "{times:1000000:* 2 FETCH (FLAGS (\\Seen \\Answered $Forwarded $MDNSent junk))\r\n}"),
		idle("64 MB of one line, in IDLE", "* OK {times:64000000:x}\r\n"),
		idle("64 MB of one string, in IDLE", "* X \"{times:64000000:x}\"\r\n"),
		idle("a million empty lines, in IDLE", "{times:1000000:\r\n}"),
		idle("a million times EXISTS, in IDLE", "{times:1000000:* 4 EXISTS\r\n}"),
		idle("300,000 times +, in IDLE", "{times:300000:+ go on\r\n}"),
		hostile("flood: a greeting without end", "GREETING", "* OK {times:40000000:x}\r\n", "greeting"),
		hostile("flood: lines before the greeting", "GREETING", "{times:2000000:* X something\r\n}", "greeting"),
		hostile("flood: capabilities", "CAPABILITY", "* CAPABILITY IMAP4rev1{times:5000000: X=Y}\r\n{ok}", "more than"),
		hostile("flood: words at the login", "AUTHENTICATE", "{times:1000000:* OK please wait a little longer\r\n}{ok}", "LOGIN"),
		hostile("flood: a challenge at the login", "AUTHENTICATE", "+ {times:40000000:A}\r\n{ok}", "LOGIN"),
		hostile("flood: flags of the folder", "EXAMINE", "* FLAGS ({times:10000000:X })\r\n{data}{ok}", "EXAMINE"),
		hostile("flood: mails nobody asked for", "UID FETCH", "{times:200000:* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 1)\r\n}{data}{ok}", ""),
	),
		stubborn("drip: a greeting byte by byte", "GREETING", "* OK "+drip, "greeting"),
		stubborn("drip: an answer to the login byte by byte", "AUTHENTICATE", "* OK "+drip, "LOGIN"),
		hostile("drip: a mail byte by byte", "UID FETCH", "* 4 FETCH (UID 10 BODY[HEADER] {500}\r\n"+drip, ""),
	)
}

// strangers is of answers that belong to no question, and of servers that are none.
func strangers() []Server {
	wrong := func(command, says string) Server {
		return hostile("stranger: "+command+" is answered to another tag", command, "{data}ZZ99 OK done\r\n{hang}", says)
	}
	shut := func(name, greeting string) Server {
		return Server{
			Name: "stranger: " + name, Odd: imaptest.Odd{On: answers{"GREETING": {greeting}}},
			Shut: true, Says: "greeting", Connections: -1,
		}
	}
	extra := func(command string) Server {
		return says("stranger: a tag nobody sent, at "+command, answers{command: {"ZZ99 OK done\r\n{data}ZZ98 NO never\r\n{ok}"}})
	}
	return []Server{
		quiet("stranger: a tag nobody sent, in IDLE", "ZZ99 OK done\r\nZZ98 BAD what\r\n"),
		extra("AUTHENTICATE"), extra("EXAMINE"), extra("STATUS"), extra("UID FETCH"),
		wrong("EXAMINE", "EXAMINE"), wrong("STATUS", "STATUS"), wrong("UID FETCH", ""),
		says("stranger: + for a command that sends nothing", answers{"EXAMINE": {"+ go on\r\n{data}{ok}"}, "STATUS": {"+\r\n{data}{ok}"}}),
		says("stranger: + for UID FETCH", answers{"UID FETCH": {"+ go on\r\n{data}{ok}"}}),
		says("stranger: + after the greeting", answers{"GREETING": {"* OK [CAPABILITY {caps}] ready\r\n+ go on\r\n"}}),
		shut("SMTP", "220 mx.example.org ESMTP\r\n{hang}"),
		shut("HTTP", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{close}"),
		shut("TLS where there is none", "\x15\x03\x01\x00\x02\x02\x16{hang}"),
		shut("NUL", "\x00\x00\x00\r\n{hang}"),
		shut("nobody", "{close}"),
		hostile("stranger: IDLE ends by itself", "IDLE", "+ idling\r\n{tag} OK enough\r\n", ""),
	}
}

// goodbyes is of BYE in the middle of everything.
func goodbyes() []Server {
	var all []Server
	for _, place := range places() {
		all = append(all, slow(hostile("goodbye: BYE at "+place[0], place[0], "* BYE moving house\r\n{close}", "moving house"))...)
		all = append(all,
			hostile("goodbye: BYE without a word and the connection stays, at "+place[0], place[0], "* BYE\r\n{hang}", ""),
		)
	}
	said := quiet("goodbye: BYE in IDLE", "* BYE moving house\r\n{close}")
	said.Says, said.Connections = "moving house", 2
	split := said
	split.Name, split.Odd.Piece = split.Name+", byte by byte", 1
	gone := quiet("goodbye: none, the connection ends in IDLE", "{close}")
	gone.Connections = 2
	half := quiet("goodbye: the connection ends inside a line", "* 4 EXI{close}")
	half.Connections = 2
	return append(all, said, split, gone, half)
}

// Secrets returns the forms of the password, or of more than it, that no client may show.
func Secrets() []string {
	plain := "\x00" + User + "\x00" + Password
	forms := []string{Password, quoted(), url.QueryEscape(Password), hex.EncodeToString([]byte(Password))}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		forms = append(forms, encoding.EncodeToString([]byte(Password)), encoding.EncodeToString([]byte(plain)))
	}
	return forms
}

// quoted is the password as LOGIN sends it.
func quoted() string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(Password) }

// echoes is of servers that tell a client its own secret.
func echoes() []Server {
	shut := func(name, text string) Server {
		return Server{
			Name: "echo: " + name, Odd: imaptest.Odd{On: answers{"AUTHENTICATE": {text}, "LOGIN": {text}}},
			Shut: true, Says: "login", Connections: -1,
		}
	}
	all := []Server{
		shut("the arguments in NO", "{tag} NO [AUTHENTICATIONFAILED] login {args} is wrong\r\n"),
		shut("the arguments in BAD", "{tag} BAD login: cannot parse {args}\r\n"),
		shut("the arguments in a response code", "{tag} NO [X-{args}] login failed\r\n"),
		shut("the arguments in BYE", "* BYE login with {args} failed\r\n{close}"),
		shut("the arguments in untagged data first", "* NO login {args}\r\n* X {args}\r\n{tag} NO login failed\r\n"),
		shut("the arguments in what is no answer", "login {args}\r\n{hang}"),
	}
	for i, form := range Secrets() {
		text := strings.NewReplacer("\x00", "").Replace(form)
		all = append(all, shut("form "+string(rune('A'+i))+" of the password", "{tag} NO [AUTHENTICATIONFAILED] login: "+text+"\r\n"))
	}
	examine := Server{
		Name: "echo: after the login", Odd: imaptest.Odd{On: answers{
			"EXAMINE": {"{tag} NO " + Password + " has no mail\r\n"}, "SELECT": {"{tag} NO " + Password + " has no mail\r\n"},
		}},
		Shut: true, Says: "has no mail", Connections: -1,
	}
	return append(all, examine)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestLoginIsTriedWherePlainIsRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"NO": "{tag} NO Authentication failed\r\n", "a code": "{tag} NO [AUTHENTICATIONFAILED] no\r\n", "BAD": "{tag} BAD what?\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := serve(t, imaptest.Script{}, answers{"AUTHENTICATE": {answer}}).open()
			k.open() // it is known now
			if plain, login := len(k.said("AUTHENTICATE")), len(k.said("LOGIN")); plain != 1 || login != 2 {
				t.Errorf("%d times PLAIN, %d times LOGIN", plain, login)
			}
		})
	}
}

func TestACredentialThatBothWaysRefuseIsWrong(t *testing.T) {
	t.Parallel()
	k := serve(t, imaptest.Script{}, answers{"AUTHENTICATE": {"{tag} NO [AUTHENTICATIONFAILED] no\r\n"}, "LOGIN": {"{tag} NO no\r\n"}})
	k.mustFail(mailbox.ClassRefused, "refused the credential: [AUTHENTICATIONFAILED] no")
}

// A mail store that has taken PLAIN knows how; two wrong logins for one lock people out.
func TestLoginIsNotTriedWherePlainHasWorked(t *testing.T) {
	t.Parallel()
	k := serve(t, imaptest.Script{}, answers{"AUTHENTICATE": {"(honest)", "{tag} NO [AUTHENTICATIONFAILED] no\r\n"}}).open()
	k.mustFail(mailbox.ClassRefused, "refused the credential")
	if login := k.said("LOGIN"); len(login) > 0 {
		t.Errorf("tried %q", login)
	}
}

func TestAuthenticateGoesOnWhereTheMailStoreAsks(t *testing.T) {
	t.Parallel()
	want := base64.StdEncoding.EncodeToString([]byte("\x00anna\x00tr0ub4dor"))
	for name, caps := range map[string]string{"without SASL-IR": "IMAP4rev1 AUTH=PLAIN", "in spite of SASL-IR": "IMAP4rev1 AUTH=PLAIN SASL-IR"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			k := serve(t, imaptest.Script{Capabilities: caps, On: map[string]func(p *imaptest.Peer, tag, args string){
				"AUTHENTICATE": func(p *imaptest.Peer, tag, _ string) {
					p.Send("+\r\n")
					line, _ := p.Line()
					got <- line
					p.Send(tag + " OK in\r\n")
				},
			}}, nil).open()
			if line := receive(t, "line", got); line != want {
				t.Errorf("sent %q, want %q (%v)", line, want, k.opening)
			}
		})
	}
}

func TestPasswordsThatCannotBeQuotedAreLiterals(t *testing.T) {
	t.Parallel()
	const password = "pä\"s\\%{7}€"
	for name, test := range map[string]struct {
		caps, password string
		want           []string
	}{
		"a literal":        {"IMAP4rev1", password, []string{`T1 LOGIN "an\\na" {13}`, password}},
		"LITERAL+":         {"IMAP4rev1 LITERAL+", password, []string{`T1 LOGIN "an\\na" {13+}`, password}},
		"a quoted string":  {"IMAP4rev1", `a"b`, []string{`T1 LOGIN "an\\na" "a\"b"`}},
		"a very long one":  {"IMAP4rev1", strings.Repeat("x", 600), []string{`T1 LOGIN "an\\na" {600}`, strings.Repeat("x", 600)}},
		"with a line feed": {"IMAP4rev1", "a\nb", []string{`T1 LOGIN "an\\na" {3}`, "a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 10)
			k := serve(t, imaptest.Script{Accept: func(p *imaptest.Peer) {
				p.Send("* OK [CAPABILITY " + test.caps + "] hi\r\n")
				for range test.want {
					line, _ := p.Line()
					got <- line
					if strings.HasSuffix(line, "}") && !strings.HasSuffix(line, "+}") {
						p.Send("+ go on\r\n")
					}
				}
				p.Send("T1 NO [AUTHENTICATIONFAILED] no\r\n")
			}}, nil)
			_, _, failure := k.source.open(t.Context(), k.store, func(context.Context) (mailbox.Login, error) {
				return mailbox.Login{Username: `an\na`, Password: secret.New(test.password)}, nil
			}, k)
			if failure == nil || failure.Class != mailbox.ClassRefused {
				t.Fatalf("failure = %v", failure)
			}
			for _, want := range test.want {
				if line := receive(t, "line", got); line != want {
					t.Errorf("sent %q, want %q", line, want)
				}
			}
		})
	}
}

func TestSecondWaysToOpenTheFolder(t *testing.T) {
	t.Parallel()
	unsafe := "{tag} NO EXAMINE Unsafe Login. Please contact kefu@188.com for help\r\n"
	for name, test := range map[string]struct {
		caps  string
		given answers
		order []string
	}{
		"ID where it is offered":       {"IMAP4rev1 IDLE ID AUTH=PLAIN SASL-IR", answers{"ID": {"* ID NIL\r\n" + ok}}, []string{"AUTHENTICATE", "ID", "EXAMINE", "STATUS"}},
		"ID refused":                   {"IMAP4rev1 IDLE ID AUTH=PLAIN SASL-IR", answers{"ID": {"{tag} BAD no\r\n"}}, []string{"AUTHENTICATE", "ID", "EXAMINE", "STATUS"}},
		"ID where it is wanted":        {"", answers{"ID": {"* ID NIL\r\n" + ok}, "EXAMINE": {unsafe, "(honest)"}}, []string{"AUTHENTICATE", "EXAMINE", "ID", "EXAMINE", "STATUS"}},
		"SELECT where EXAMINE is BAD":  {"", answers{"EXAMINE": {"{tag} BAD unknown\r\n"}}, []string{"AUTHENTICATE", "EXAMINE", "ID", "EXAMINE", "SELECT", "STATUS"}},
		"SELECT where EXAMINE is NO":   {"", answers{"EXAMINE": {"{tag} NO read-only\r\n"}}, []string{"AUTHENTICATE", "EXAMINE", "ID", "EXAMINE", "SELECT", "STATUS"}},
		"SELECT after an untagged BAD": {"", answers{"EXAMINE": {"* BAD [ALERT] what?\r\n"}}, []string{"AUTHENTICATE", "EXAMINE", "ID", "EXAMINE", "SELECT", "STATUS"}},
		"EXAMINE where STATUS is NO":   {"", answers{"STATUS": {"{tag} NO it is open\r\n"}}, []string{"AUTHENTICATE", "EXAMINE", "STATUS", "EXAMINE"}},
		"CAPABILITY refused":           {"", answers{"CAPABILITY": {"{tag} NO no\r\n"}}, []string{"AUTHENTICATE", "EXAMINE", "STATUS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := serve(t, imaptest.Script{Capabilities: test.caps}, test.given)
			k.server.Folder.Add(3)
			k.open()
			var order []string
			for _, command := range k.said("") {
				if word := strings.Fields(command)[0]; word != "CAPABILITY" {
					order = append(order, word)
				}
			}
			if strings.Join(order, " ") != strings.Join(test.order, " ") {
				t.Errorf("said %v, want %v", order, test.order)
			}
			if k.opening.End.UIDNext != 4 {
				t.Errorf("opening = %+v", k.opening)
			}
		})
	}
}

func TestOpeningThatMustFail(t *testing.T) {
	t.Parallel()
	big := "* 3 EXISTS\r\n* OK [UIDVALIDITY 1713632002544] ok\r\n* OK [UIDNEXT 10] ok\r\n" + ok
	notNow := "{tag} BAD User is authenticated but not connected.\r\n"
	alert := "* BAD [ALERT] Please enable IMAP access first.\r\n"
	for name, test := range map[string]struct {
		script imaptest.Script
		given  answers
		class  mailbox.Class
		words  string
	}{
		"UIDVALIDITY over 32 bits":   {imaptest.Script{}, answers{"EXAMINE": {big}, "SELECT": {big}}, mailbox.ClassGarbage, "UIDVALIDITY 1713632002544 is over 32 bits"},
		"no login without TLS":       {imaptest.Script{Capabilities: "IMAP4rev1 LOGINDISABLED"}, nil, mailbox.ClassTLS, "no login without TLS"},
		"PREAUTH":                    {imaptest.Script{Greeting: "* PREAUTH hi\r\n"}, nil, mailbox.ClassGarbage, "PREAUTH"},
		"a referral":                 {imaptest.Script{}, answers{"AUTHENTICATE": {"{tag} NO [REFERRAL imap://x/] go there\r\n"}, "LOGIN": {"{tag} NO [REFERRAL imap://x/] go there\r\n"}}, mailbox.ClassUnexplained, "[REFERRAL imap://x/] go there"},
		"not connected":              {imaptest.Script{}, answers{"EXAMINE": {notNow}, "SELECT": {notNow}}, mailbox.ClassUnavailable, "User is authenticated but not connected."},
		"an alert and no answer":     {imaptest.Script{}, answers{"EXAMINE": {alert}, "SELECT": {alert}, "CAPABILITY": {"{tag} NO x\r\n"}}, mailbox.ClassUnavailable, "Please enable IMAP access first."},
		"BYE at the login":           {imaptest.Script{}, answers{"AUTHENTICATE": {"* BYE going down\r\n(close)"}}, mailbox.ClassLost, "goodbye during LOGIN: going down"},
		"BYE and then the reason":    {imaptest.Script{}, answers{"AUTHENTICATE": {"* BYE bye\r\n{tag} NO [LIMIT] too many\r\n"}}, mailbox.ClassLimit, "[LIMIT] too many"},
		"words that are no greeting": {imaptest.Script{Greeting: "HTTP/1.1 400 Bad Request\r\n"}, nil, mailbox.ClassGarbage, "not IMAP instead of a greeting: HTTP/1.1 400 Bad Request"},
		"no greeting but data":       {imaptest.Script{Greeting: "\r\n* CAPABILITY IMAP4rev1\r\n* BYE [UNAVAILABLE] later\r\n"}, nil, mailbox.ClassUnavailable, "goodbye instead of a greeting: [UNAVAILABLE] later"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve(t, test.script, test.given).mustFail(test.class, test.words)
		})
	}
}

// Nothing of a credential is shown, however a mail store echoes it.
func TestEchoedCredentialsAreRedacted(t *testing.T) {
	t.Parallel()
	const password = "tr0ub4dor"
	line := base64.StdEncoding.EncodeToString([]byte("\x00anna\x00" + password))
	for name, echo := range map[string]string{
		"as it is": password, "in base64": base64.StdEncoding.EncodeToString([]byte(password)), "the SASL line": line,
		"the end of the SASL line": line[5:], "in hexadecimal": "747230756234646f72",
		"quoted": `LOGIN "anna" "tr0ub4dor"`, "without padding": strings.TrimRight(line, "="),
	} {
		for place, given := range map[string]answers{
			"login":  {"AUTHENTICATE": {"{tag} NO [AUTHENTICATIONFAILED] <" + echo + ">\r\n"}, "LOGIN": {"{tag} NO <" + echo + ">\r\n"}},
			"code":   {"AUTHENTICATE": {"{tag} NO [X " + echo + "] x\r\n"}, "LOGIN": {"{tag} NO x\r\n"}},
			"folder": {"EXAMINE": {"{tag} NO <" + echo + ">\r\n"}, "SELECT": {"{tag} NO <" + echo + ">\r\n"}},
			"BYE":    {"EXAMINE": {"* BYE <" + echo + ">\r\n(close)"}},
		} {
			t.Run(name+", "+place, func(t *testing.T) {
				t.Parallel()
				err := serve(t, imaptest.Script{}, given).try()
				if err == nil {
					t.Fatal("opened")
				}
				failure := mailbox.AsFailure(err)
				text := failure.Reason
				if failure.Err != nil {
					text += failure.Err.Error()
				}
				if strings.Contains(text, echo) || strings.Contains(text, password) || !strings.Contains(text, redacted) {
					t.Errorf("shown: %q", text)
				}
			})
		}
	}
}

func TestWordsAreNotRedactedWithoutNeed(t *testing.T) {
	t.Parallel()
	r := redactor{"secret"}
	for _, text := range []string{"Authentication failed.", "AAAAAAAAAAAAAAAA", "", "x=y"} {
		if got := r.redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := (redactor{}).redact("secret"); got != "secret" {
		t.Errorf("without a password: %q", got)
	}
}

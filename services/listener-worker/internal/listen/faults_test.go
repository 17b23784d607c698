// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func scripted(t *testing.T, script imaptest.Script) *imaptest.ScriptServer {
	t.Helper()
	server, err := imaptest.NewScript(script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	return server
}

func hang(p *imaptest.Peer, _, _ string) { p.Hang() }

// no answers a command with a status line.
func no(answer string) func(*imaptest.Peer, string, string) {
	return func(p *imaptest.Peer, tag, _ string) { p.Send(tag + " " + answer + "\r\n") }
}

func on(command string, answer func(*imaptest.Peer, string, string)) map[string]func(*imaptest.Peer, string, string) {
	return map[string]func(*imaptest.Peer, string, string){command: answer}
}

// endless sends a line without end, until the other side has had enough.
func endless(p *imaptest.Peer) {
	chunk := "* OK " + strings.Repeat("x", 1<<16)
	for range 1 << 10 {
		p.Send(chunk)
	}
}

const (
	hangingTimeout = 300 * time.Millisecond
	honestTimeout  = 10 * time.Second
)

func TestAFaultyMailStoreIsNamedAndHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script  imaptest.Script
		timeout time.Duration
		reason  string
	}{
		"speaks another protocol": {
			imaptest.Script{Greeting: "220 mx.example.org ESMTP\r\n"}, honestTimeout,
			"mail store sent something that is not IMAP instead of a greeting: 220 mx.example.org ESMTP",
		},
		"closes at once": {
			imaptest.Script{Accept: func(p *imaptest.Peer) { p.Close() }}, honestTimeout,
			"mail store closed the connection at once, before its greeting",
		},
		"never greets": {
			imaptest.Script{Accept: (*imaptest.Peer).Hang}, hangingTimeout,
			"no greeting within 300ms",
		},
		"greets a byte at a time": {
			imaptest.Script{Accept: func(p *imaptest.Peer) {
				p.Send("* O")
				p.Hang()
			}}, hangingTimeout,
			"no greeting within 300ms",
		},
		"hangs after the greeting": {
			imaptest.Script{Greeting: "* OK hello\r\n", On: on("CAPABILITY", hang)}, hangingTimeout,
			"no answer to CAPABILITY within 300ms",
		},
		"hangs at the login": {
			imaptest.Script{On: on("AUTHENTICATE", hang)}, hangingTimeout,
			"no answer to LOGIN within 300ms",
		},
		"hangs at opening the folder": {
			imaptest.Script{On: on("EXAMINE", hang)}, hangingTimeout,
			"no answer to EXAMINE within 300ms",
		},
		"hangs at IDLE": {
			imaptest.Script{On: on("IDLE", hang)}, hangingTimeout,
			"no answer to IDLE within 300ms",
		},
		"greets without end": {
			imaptest.Script{Accept: endless}, honestTimeout,
			"mail store sent more than any honest answer has instead of a greeting",
		},
		"answers the login without end": {
			imaptest.Script{On: on("AUTHENTICATE", func(p *imaptest.Peer, _, _ string) { endless(p) })}, honestTimeout,
			"mail store sent more than any honest answer has during LOGIN",
		},
		"says goodbye instead of hello": {
			imaptest.Script{Greeting: "* BYE Connection queue full\r\n"}, honestTimeout,
			"mail store said goodbye instead of a greeting: Connection queue full",
		},
		"says goodbye at the login": {
			imaptest.Script{On: on("AUTHENTICATE", func(p *imaptest.Peer, _, _ string) {
				p.Send("* BYE going down\r\n")
				p.Close()
			})}, honestTimeout,
			"mail store said goodbye during LOGIN: going down",
		},
		"drops the connection in IDLE": {
			imaptest.Script{On: on("IDLE", func(p *imaptest.Peer, _, _ string) {
				p.Send("+ idling\r\n")
				p.Close()
			})}, honestTimeout,
			"mail store closed the connection",
		},
		"sends garbage in IDLE and falls silent": {
			imaptest.Script{On: on("IDLE", func(p *imaptest.Peer, _, _ string) {
				p.Send("+ idling\r\n\x00\xff{}{}\r\n")
				p.Hang()
			})}, hangingTimeout,
			"no answer to SELECT within 300ms",
		},
		"limits connections": {
			imaptest.Script{On: on("AUTHENTICATE", no("NO [LIMIT] Maximum number of connections"))}, honestTimeout,
			"mail store limits us at LOGIN: [LIMIT] Maximum number of connections",
		},
		"limits connections and calls it a wrong password": {
			imaptest.Script{On: on("AUTHENTICATE", no("NO [AUTHENTICATIONFAILED] Too many simultaneous connections"))}, honestTimeout,
			"mail store limits us at LOGIN: [AUTHENTICATIONFAILED] Too many simultaneous connections",
		},
		"cannot authenticate anybody": {
			imaptest.Script{On: on("AUTHENTICATE", no("NO [UNAVAILABLE] Temporary authentication failure."))}, honestTimeout,
			"mail store refused LOGIN: [UNAVAILABLE] Temporary authentication failure.",
		},
		"does not let the folder be opened": {
			imaptest.Script{On: both("EXAMINE", "SELECT", no("NO no such folder"))}, honestTimeout,
			"mail store refused EXAMINE: no such folder",
		},
		"offers no login": {
			imaptest.Script{Capabilities: "IMAP4rev1 LOGINDISABLED"}, honestTimeout,
			"mail store allows no login without TLS",
		},
		"does not tell UIDVALIDITY": {
			imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
				"EXAMINE": func(p *imaptest.Peer, tag, _ string) {
					p.Send("* 1 EXISTS\r\n* OK [UIDNEXT 2] ok\r\n" + tag + " OK done\r\n")
				},
				"STATUS": func(p *imaptest.Peer, tag, _ string) {
					p.Send("* STATUS INBOX (UIDNEXT 2)\r\n" + tag + " OK done\r\n")
				},
			}}, honestTimeout,
			"mail store does not tell UIDNEXT and UIDVALIDITY of the folder",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faulty, sound := scripted(t, test.script), scripted(t, imaptest.Script{})
			store := plainStore(faulty.Addr())
			store.Name, store.ResponseTimeout = "faulty", durationpb.New(test.timeout)
			r := start(t, quick())
			for _, id := range []string{"faulty", "sound"} {
				r.creds.set(user(id), id, "pw", 1)
			}
			r.loop.Put(mailbox.Listening{User: user("faulty"), Store: store, CredentialVersion: 1})
			r.loop.Put(mailbox.Listening{User: user("sound"), Store: plainStore(sound.Addr()), CredentialVersion: 1})
			r.untilError(t, user("faulty"), test.reason)
			until(t, "a second attempt", func() bool { return faulty.Accepted() > 1 })

			r.untilState(t, user("sound"), mailv1.ListenerState_LISTENER_STATE_IDLE)
			uid := sound.Folder.Deliver()
			r.receiveEnd(t, user("sound"), uid+1)
			select {
			case s := <-r.sink.suspended:
				t.Errorf("suspended: %+v", s)
			default:
			}
		})
	}
}

// both has two commands answered the same way.
func both(one, other string, answer func(p *imaptest.Peer, tag, args string)) map[string]func(p *imaptest.Peer, tag, args string) {
	return map[string]func(p *imaptest.Peer, tag, args string){one: answer, other: answer}
}

// untilError waits for a back-off with a reason.
func (r *rig) untilError(t *testing.T, u mailbox.User, reason string) {
	t.Helper()
	seen := make(map[string]bool)
	defer func() {
		if t.Failed() {
			t.Logf("reasons seen: %v", seen)
		}
	}()
	until(t, "reason "+reason, func() bool {
		status := r.status(u)
		seen[status.LastError] = true
		return status.LastError == reason
	})
}

func TestUnprotectedConnectionsSeeNoLogin(t *testing.T) {
	t.Parallel()
	certificate := func(valid time.Duration, host string) imaptest.Certificate {
		c, err := imaptest.NewCertificate(valid, host)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	mine, expired, other := certificate(time.Hour, "127.0.0.1"), certificate(-time.Minute, "127.0.0.1"), certificate(time.Hour, "elsewhere.example.org")
	tests := map[string]struct {
		script imaptest.Script
		mode   mailv1.TlsMode
		show   *imaptest.Certificate // TLS from the first byte with it
		trust  imaptest.Certificate
		reason string
	}{
		"expired": {
			mode: mailv1.TlsMode_TLS_MODE_IMPLICIT, show: &expired, trust: expired,
			reason: "TLS with the mail store failed: tls: failed to verify certificate: x509: certificate has expired",
		},
		"wrong name": {
			mode: mailv1.TlsMode_TLS_MODE_IMPLICIT, show: &other, trust: other,
			reason: "TLS with the mail store failed: tls: failed to verify certificate: x509: cannot validate certificate for 127.0.0.1",
		},
		"unknown authority": {
			mode: mailv1.TlsMode_TLS_MODE_IMPLICIT, show: &mine, trust: other,
			reason: "TLS with the mail store failed: tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		"no TLS where it should be": {
			mode: mailv1.TlsMode_TLS_MODE_IMPLICIT, trust: mine,
			reason: "mail store does not speak TLS where it should",
		},
		"STARTTLS stripped": {
			mode: mailv1.TlsMode_TLS_MODE_STARTTLS, trust: mine,
			reason: "mail store refuses STARTTLS: BAD unknown command",
		},
		"words slipped in before TLS": {
			script: imaptest.Script{On: on("STARTTLS", func(p *imaptest.Peer, tag, _ string) {
				p.Send(tag + " OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
			})},
			mode: mailv1.TlsMode_TLS_MODE_STARTTLS, trust: mine,
			reason: "something was slipped in before TLS began",
		},
		"mode not set": {
			mode: mailv1.TlsMode_TLS_MODE_UNSPECIFIED, trust: mine,
			reason: "mail store's TLS mode is not set; nothing is sent in clear text",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.show != nil {
				config, err := test.show.ServerTLS()
				if err != nil {
					t.Fatal(err)
				}
				test.script.TLS = config
			}
			server := scripted(t, test.script)
			store := plainStore(server.Addr())
			store.TlsMode, store.CaPem = test.mode, test.trust.Cert
			r := start(t, quick())
			r.creds.set(user("1"), "anna", "pw", 1)
			r.loop.Put(mailbox.Listening{User: user("1"), Store: store, CredentialVersion: 1})
			until(t, "reason "+test.reason, func() bool { return strings.HasPrefix(r.status(user("1")).LastError, test.reason) })
			if asked := r.asked(user("1")); asked > 0 {
				t.Errorf("the credential was asked for %d times", asked)
			}
			if n := server.Commands("AUTHENTICATE") + server.Commands("LOGIN"); n > 0 {
				t.Errorf("%d logins were attempted", n)
			}
		})
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// patient are times by which no listener tries again by itself while a test runs, and
// somebody always finds out about its mail store.
func patient() machine.Settings {
	return machine.Settings{
		MinBackoff: time.Hour, MaxBackoff: 10 * time.Hour,
		Jitter: func(d time.Duration) time.Duration {
			if d > 10*time.Second {
				return d
			}
			return min(d, 20*time.Millisecond)
		},
	}
}

// port is an address that refuses connections until it is opened to a mail store.
type port struct {
	t        *testing.T
	behind   string
	address  string
	listener net.Listener
	all      sync.WaitGroup
}

// newPort is a port on a loopback address that nobody else uses.
func newPort(t *testing.T, behind string) *port {
	t.Helper()
	l, err := net.Listen("tcp", "127.83.1.9:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{t: t, behind: behind, address: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func (p *port) open() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener = l
	p.all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.pass(from) })
		}
	})
}

func (p *port) pass(from net.Conn) {
	to, err := net.Dial("tcp", p.behind)
	if err != nil {
		_ = from.Close() // as if it were the other's end
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // whichever end closes first
			_, _ = from.Close(), to.Close()
		})
	}
	both.Wait()
}

func (p *port) close() {
	if p.listener != nil {
		_ = p.listener.Close() // it is the end
	}
	p.all.Wait()
}

// A mail store that is down in any way, and comes back, has all its listeners back although
// none of them would have tried again for an hour; and not the one whose password is wrong.
func TestListenersAreBackWhenTheirMailStoreIs(t *testing.T) {
	t.Parallel()
	serve := func(p *imaptest.Peer) {
		p.Send("* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR] ready\r\n")
		for {
			tag, command, args, ok := p.Command()
			switch {
			case !ok:
				return
			case command == "LOGIN", command == "AUTHENTICATE" && strings.HasSuffix(args, wrongLine):
				p.Send(tag + " NO [AUTHENTICATIONFAILED] wrong\r\n")
			default:
				p.Answer(tag, command, args)
			}
		}
	}
	answering := func(commands, line string) func(p *imaptest.Peer) {
		return func(p *imaptest.Peer) {
			p.Send("* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR] ready\r\n")
			for {
				tag, came, args, ok := p.Command()
				switch {
				case !ok:
					return
				case strings.Contains(commands, came) && line == "":
					p.Hang()
					return
				case strings.Contains(commands, came):
					p.Send(tag + " " + line + "\r\n")
				default:
					p.Answer(tag, came, args)
				}
			}
		}
	}
	for name, down := range map[string]func(p *imaptest.Peer){
		"refuses connections":    nil,
		"closes them":            func(p *imaptest.Peer) { p.Close() },
		"never greets":           (*imaptest.Peer).Hang,
		"says goodbye":           func(p *imaptest.Peer) { p.Send("* BYE [UNAVAILABLE] down for maintenance\r\n") },
		"speaks another tongue":  func(p *imaptest.Peer) { p.Send("220 not IMAP\r\n") },
		"takes no login":         answering("AUTHENTICATE", "NO [UNAVAILABLE] no directory"),
		"hangs at the login":     answering("AUTHENTICATE", ""),
		"opens no folder":        answering("EXAMINE SELECT", "NO [SERVERBUG] no storage"),
		"hangs at the folder":    answering("EXAMINE", ""),
		"takes no login for now": answering("AUTHENTICATE", "NO [UNAVAILABLE] Temporary authentication failure."),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var up atomic.Bool
			server := scripted(t, imaptest.Script{Accept: func(p *imaptest.Peer) {
				if up.Load() {
					serve(p)
				} else {
					down(p)
				}
			}})
			address := server.Addr()
			open := func() { up.Store(true) }
			if down == nil {
				up.Store(true)
				p := newPort(t, address)
				address, open = p.address, p.open
			}
			r := start(t, patient())
			store := plainStore(address)
			store.ResponseTimeout = durationpb.New(time.Second)
			const n = 40
			for i := range n {
				u := user(fmt.Sprint(i))
				r.creds.set(u, "anna", "pw", 1)
				if i == 7 {
					r.creds.set(u, "anna", "wrong", 1)
				}
				r.loop.Put(mailbox.Listening{User: u, Store: store, CredentialVersion: 1})
			}
			for i := range n {
				until(t, "a reason", func() bool { return r.status(user(fmt.Sprint(i))).LastError != "" })
			}
			open()
			for i := range n {
				if i != 7 {
					r.untilState(t, user(fmt.Sprint(i)), mailv1.ListenerState_LISTENER_STATE_IDLE)
				}
			}
			r.untilState(t, user("7"), mailv1.ListenerState_LISTENER_STATE_SUSPENDED)
		})
	}
}

// wrongLine is a login with a wrong password, as AUTHENTICATE PLAIN has it.
const wrongLine = "AGFubmEAd3Jvbmc="

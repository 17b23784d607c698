// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// answers are what a server says to commands, by their names and, for UID, the word after
// it; {tag} stands for the tag. What comes more often than there are answers gets the
// last one again.
type answers map[string][]string

// talk is one conversation with a server.
type talk struct {
	t      *testing.T
	source *Source
	store  *mailv1.MailStore
	server *imaptest.ScriptServer

	mu       sync.Mutex
	commands []string // with their arguments
	given    map[string]int

	noticed chan time.Time
	lost    chan *mailbox.Failure
	*conn
	opening listen.Opening
	detail  mailbox.Detail // of what is read
}

// Noticed implements [listen.Notify].
func (k *talk) Noticed(at time.Time) { k.noticed <- at }

// Lost implements [listen.Notify].
func (k *talk) Lost(f *mailbox.Failure) { k.lost <- f }

// serve starts a server that answers honestly but for what is given.
func serve(t *testing.T, script imaptest.Script, given answers) *talk {
	t.Helper()
	k := &talk{t: t, source: New(Config{}), given: make(map[string]int), noticed: make(chan time.Time, 100), lost: make(chan *mailbox.Failure, 10)}
	if script.On == nil {
		script.On = make(map[string]func(p *imaptest.Peer, tag, args string))
	}
	for _, command := range []string{"CAPABILITY", "AUTHENTICATE", "LOGIN", "ID", "EXAMINE", "SELECT", "STATUS", "NOOP", "UID", "FETCH", "IDLE", "LOGOUT"} {
		honest := script.On[command]
		script.On[command] = func(p *imaptest.Peer, tag, args string) {
			answer, own := k.answer(command, args, given)
			switch {
			case own && answer == "(hang)":
				p.Hang()
			case own && strings.HasSuffix(answer, "(close)"):
				p.Send(strings.TrimSuffix(answer, "(close)"))
				p.Close()
			case own:
				p.Send(strings.ReplaceAll(answer, "{tag}", tag))
			case honest != nil:
				honest(p, tag, args)
			default:
				p.Answer(tag, command, args)
			}
		}
	}
	server, err := imaptest.NewScript(script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	k.server = server
	k.store = &mailv1.MailStore{
		Name: "test", Address: server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN,
		ResponseTimeout: durationpb.New(5 * time.Second),
	}
	return k
}

// answer notes a command and looks for its answer.
func (k *talk) answer(command, args string, given answers) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := command
	if sub, _, found := strings.Cut(args, " "); command == "UID" && found {
		key += " " + strings.ToUpper(sub)
	}
	k.commands = append(k.commands, strings.TrimSpace(command+" "+args))
	list := given[key]
	if len(list) == 0 {
		return "", false
	}
	n := min(k.given[key], len(list)-1)
	k.given[key]++
	return list[n], list[n] != "(honest)"
}

// said is the commands so far that begin so.
func (k *talk) said(prefix string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, command := range k.commands {
		if strings.HasPrefix(command, prefix) {
			out = append(out, command)
		}
	}
	return out
}

func (k *talk) login(context.Context) (mailbox.Login, error) {
	return mailbox.Login{Username: "anna", Password: secret.New("tr0ub4dor"), Version: 1}, nil
}

// open opens the mailbox.
func (k *talk) open() *talk {
	k.t.Helper()
	if err := k.try(); err != nil {
		k.t.Fatal(err)
	}
	return k
}

func (k *talk) try() error {
	reader, opening, err := k.source.Open(k.t.Context(), mailbox.Listening{Store: k.store}, k.login, k)
	if err != nil {
		return err
	}
	k.t.Cleanup(reader.Close)
	k.opening = opening
	k.conn, _ = reader.(*conn)
	return nil
}

// mustFail opens the mailbox and wants it to fail with a class and words.
func (k *talk) mustFail(class mailbox.Class, words string) {
	k.t.Helper()
	var failure *mailbox.Failure
	if err := k.try(); !errors.As(err, &failure) || failure.Class != class || !strings.Contains(failure.Reason, words) {
		k.t.Errorf("opening: %v, want %v with %q", err, class, words)
	}
}

// idles has IDLE stand.
func (k *talk) idles() *talk {
	k.t.Helper()
	if err := k.Idle(); err != nil {
		k.t.Fatal(err)
	}
	return k
}

// check looks and wants a UIDNEXT.
func (k *talk) check(look mailbox.Look, next uint32) mailbox.Checkup {
	k.t.Helper()
	got, err := k.Check(look)
	if err != nil {
		k.t.Fatal(err)
	}
	if got.End.UIDNext != next {
		k.t.Errorf("UIDNEXT = %d, want %d", got.End.UIDNext, next)
	}
	return got
}

// read reads a range and wants these mails.
func (k *talk) read(want mailbox.Range, upto uint32, doubt mailbox.Gap, uids ...uint32) mailbox.Reading {
	k.t.Helper()
	want.Detail = k.detail
	got, err := k.Fetch(want)
	if err != nil {
		k.t.Fatal(err)
	}
	var shown []uint32
	for _, mail := range got.Mails {
		shown = append(shown, mail.UID)
	}
	if got.Upto != upto || got.Gap != doubt || !equal(shown, uids) {
		k.t.Errorf("read up to %d with doubt %d: %v; want %d, %d, %v", got.Upto, got.Gap, shown, upto, doubt, uids)
	}
	return got
}

func equal(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
		panic("unreachable")
	}
}

var (
	_ listen.Source = (*Source)(nil)
	_ listen.Idler  = (*conn)(nil)
)

// shown is the honest answer for a mail to what was asked for.
func shown(args string, seq int, uid uint32) string {
	if strings.Contains(args, "HEADER") {
		return imaptest.Envelope(seq, uid, "hello")
	}
	return fmt.Sprintf("* %d FETCH (UID %d)\r\n", seq, uid)
}

// details are all there are, by name.
func details() map[string]mailbox.Detail {
	return map[string]mailbox.Detail{"envelopes": mailbox.Envelopes, "UIDs": mailbox.UIDs}
}

// fetchOf is the honest answer for a mail.
func fetchOf(seq int, uid uint32) string { return imaptest.Envelope(seq, uid, "hello") }

const ok = "{tag} OK done\r\n"

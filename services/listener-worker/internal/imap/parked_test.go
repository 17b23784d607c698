// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// protected starts a server that speaks TLS.
func protected(t *testing.T, script imaptest.Script, given answers) *talk {
	t.Helper()
	certificate, err := imaptest.NewCertificate(time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if script.TLS, err = certificate.ServerTLS(); err != nil {
		t.Fatal(err)
	}
	k := serve(t, script, given)
	k.store.TlsMode, k.store.CaPem = mailv1.TlsMode_TLS_MODE_IMPLICIT, certificate.Cert
	k.source = New(Config{ReleaseTLSBuffers: true})
	return k
}

// says is a server that says some pieces in IDLE, each when it is asked for.
func says(pieces <-chan string) imaptest.Script {
	return imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"IDLE": func(p *imaptest.Peer, tag, _ string) {
			p.Send("+ idling\r\n")
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.Line()
			}()
			for {
				select {
				case piece := <-pieces:
					p.Send(piece)
				case <-done:
					p.Send(tag + " OK done\r\n")
					return
				}
			}
		},
	}}
}

// A parked connection hears what comes in any pieces, is used and parked again.
func TestParkedConnectionsAreUsedAndParkedAgain(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, imaptest.Script, answers) *talk{"TCP": serve, "TLS": protected} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pieces := make(chan string)
			k := start(t, says(pieces), nil).open()
			for n := range 20 {
				k.idles()
				k.server.Folder.Add(1)
				for _, piece := range []string{
					"* OK Still here\r\n", "* X {20000}\r\n" + strings.Repeat("y", 10_000), strings.Repeat("y", 10_000), "\r\n* ", fmt.Sprint(n + 1), " EXISTS", "\r\n",
				} {
					pieces <- piece
				}
				receive(t, "word of a mail", k.noticed)
				k.check(mailbox.Ask, uint32(n)+2)
				k.read(mailbox.Range{From: uint32(n) + 1, Upto: uint32(n) + 1}, uint32(n)+1, mailbox.NoGap, uint32(n)+1)
			}
			if len(k.lost) > 0 {
				t.Errorf("lost: %v", <-k.lost)
			}
		})
	}
}

// What comes while an operation begins or ends is told all the same.
func TestNoWordIsLostAroundOperations(t *testing.T) {
	t.Parallel()
	pieces := make(chan string)
	k := protected(t, says(pieces), nil).open().idles()
	var teller sync.WaitGroup
	stop := make(chan struct{})
	teller.Go(func() {
		for n := 1; ; n++ {
			select {
			case pieces <- fmt.Sprintf("* %d EXISTS\r\n", n):
			case <-stop:
				return
			}
		}
	})
	for range 200 {
		receive(t, "word", k.noticed)
		for len(k.noticed) > 0 {
			<-k.noticed
		}
		if _, err := k.Check(mailbox.Sync); err != nil {
			t.Fatal(err)
		}
		k.idles()
	}
	close(stop)
	teller.Wait()
}

func TestSessionsAreResumed(t *testing.T) {
	t.Parallel()
	k := protected(t, imaptest.Script{}, nil)
	for range 5 {
		k.open().idles().check(mailbox.Sync, 1)
	}
	full, resumed := testutil.ToFloat64(k.source.metrics.handshakes[0]), testutil.ToFloat64(k.source.metrics.handshakes[1])
	if full != 1 || resumed != 4 {
		t.Errorf("%v full handshakes and %v resumed ones, want 1 and 4", full, resumed)
	}
}

// A connection that is closed while a flood is heard is not told of any more.
func TestCloseWhileAFloodIsHeard(t *testing.T) {
	t.Parallel()
	pieces := make(chan string)
	k := protected(t, says(pieces), nil).open().idles()
	heard, stop, flooded := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(flooded)
		block := strings.Repeat("* 1 FETCH (FLAGS (\\Seen))\r\n", 2000)
		for n := 1; ; n++ {
			select {
			case pieces <- block:
			case <-stop:
				return
			}
			if n == 20 {
				close(heard)
			}
		}
	}()
	<-heard
	k.Close()
	close(stop)
	<-flooded
	if _, err := k.Check(mailbox.Ask); err == nil {
		t.Error("it answers")
	}
	if len(k.lost) > 0 {
		t.Errorf("lost: %v", <-k.lost)
	}
}

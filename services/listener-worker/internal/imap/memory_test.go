// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"bufio"
	"bytes"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// heapOf is how much of the heap is in use more than before while something runs, at
// most, by the collector's own count.
func heapOf(run func()) uint64 {
	measure := func() uint64 {
		runtime.GC()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		return live[0].Value.Uint64()
	}
	before := measure()
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	for most := before; ; most = max(most, measure()) {
		select {
		case <-done:
			return most - before
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A mail store costs bounded memory, whatever it sends and whenever. No other test may
// run meanwhile: the heap is everybody's.
func TestMemoryOfAConnectionIsBounded(t *testing.T) { //nolint:paralleltest // it measures the heap
	floods := map[string]string{
		"a line without end": "x", "parentheses": "(", "data without end": "* X ((((", "lines": "* 5 EXISTS\r\n", "quotes": "* X \"\\",
		"empty literals": "* X {0}\r\n", "literals": "* X {65536}\r\n" + strings.Repeat("y", 65536), "fetches": imaptest.Envelope(1, 1, "hello"),
		"headers": "* 1 FETCH (UID 1 BODY[HEADER]<0> {16384}\r\n" + strings.Repeat("Subject: =?utf-8?Q?x?=\r\n", 683)[:16384] + ")\r\n",
		"numbers": "* SEARCH" + strings.Repeat(" 4294967295", 5000) + "\r\n", "capabilities": "* CAPABILITY" + strings.Repeat(" X", 30_000) + "\r\n",
		"blank lines": "\r\n", "tags": "A1 OK x\r\n", "literals in one": "(x {1}\r\ny) ",
	}
	places := map[string]uint64{"greeting": 1 << 20, "AUTHENTICATE": 1 << 20, "EXAMINE": 8 << 20, "UID FETCH": 8 << 20, "IDLE": 8 << 20}
	long := []string{"a line without end", "fetches"} // of those that are read for long
	endure(t, "EXAMINE", "x")                         // what a first connection takes for all
	for name, text := range floods {
		for place, most := range places {
			if (place == "UID FETCH" || place == "IDLE") && !slices.Contains(long, name) {
				continue
			}
			t.Run(name+" at "+place, func(t *testing.T) { //nolint:paralleltest // it measures the heap
				grown := heapOf(func() { endure(t, place, text) })
				if grown > most+floodItself {
					t.Errorf("the heap grew by %d kB", grown>>10)
				}
			})
		}
	}
}

// floodItself is what the server's side of it takes, and what else lives in a process.
const floodItself = 512 << 10

// endure talks to a mail store that floods at one place until it is given up.
func endure(t *testing.T, place, text string) {
	t.Helper()
	store := flooding(t, place, bytes.Repeat([]byte(text), max(1, (64<<10)/len(text))))
	k := &talk{t: t, source: New(Config{}), store: store, noticed: make(chan time.Time, 100), lost: make(chan *mailbox.Failure, 10)}
	if k.try() != nil {
		return
	}
	defer k.Close()
	if k.Idle() != nil {
		return
	}
	if place == "IDLE" {
		select { // all of the flood is read and counted, which takes a busy machine long
		case failure := <-k.lost:
			t.Log(failure)
		case <-time.After(10 * patience):
			t.Fatal("the flood is not given up")
		}
		return
	}
	_, _ = k.Fetch(mailbox.Range{From: 1, Upto: 3}) // its failure is expected
}

// flooding is a mail store that sends a block over and over from one place on. It makes
// no garbage meanwhile.
func flooding(t *testing.T, place string, block []byte) *mailv1.MailStore {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if honestUpTo(conn, place) {
			for err == nil {
				_, err = conn.Write(block)
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return &mailv1.MailStore{
		Name: "flood", Address: l.Addr().String(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, ResponseTimeout: durationpb.New(5 * time.Second),
	}
}

// honestUpTo answers commands up to one.
func honestUpTo(conn net.Conn, place string) bool {
	if place == "greeting" {
		return true
	}
	_, _ = conn.Write([]byte("* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR] hi\r\n")) // the reader sees the end
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		answer := tag + " OK done\r\n"
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			answer = "* 3 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 4] x\r\n" + answer
		case strings.HasPrefix(command, "STATUS"):
			answer = "* STATUS INBOX (UIDNEXT 4 UIDVALIDITY 1 UNSEEN 0)\r\n" + answer
		case command == "IDLE":
			answer = "+ idling\r\n"
		case tag == "DONE":
			answer = "T4 OK done\r\n"
		}
		if strings.HasPrefix(command, place) {
			if place == "IDLE" {
				_, _ = conn.Write([]byte(answer))
			}
			return true
		}
		_, _ = conn.Write([]byte(answer))
	}
	return false
}

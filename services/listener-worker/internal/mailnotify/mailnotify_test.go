// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailnotify_test

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/mailnotify"
)

const (
	mailOf   = "ox\x00MAIL\x00\x00USER\x00INBOX\x000\x00From: a@b.c\nSubject: hello\n\x00"
	secretly = "ox\x00MAIL\x00\x00USER\x00INBOX\x001\x00s3cret\x00\x00"
)

func datagram(form, user string) string { return strings.Replace(form, "USER", user, 1) }

// receiving starts a receiver at sockets, and returns what it puts.
func receiving(t *testing.T, senders mailnotify.Senders, sockets ...net.PacketConn) (<-chan hints.Hint, *prometheus.Registry) {
	t.Helper()
	put, registry := make(chan hints.Hint, 1000), prometheus.NewRegistry()
	cfg := mailnotify.Config{Metrics: registry, Senders: func() mailnotify.Senders { return senders }}
	cfg.Put = func(hint hints.Hint) hints.Result {
		put <- hint
		return hints.Local
	}
	receiver := mailnotify.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, len(sockets))
	for _, socket := range sockets {
		go func() { ended <- receiver.Run(ctx, socket) }()
	}
	t.Cleanup(func() {
		cancel()
		for range sockets {
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
	return put, registry
}

func socket(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	s, err := (&net.ListenConfig{}).ListenPacket(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, to net.Addr, datagrams ...string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), to.Network(), to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, datagram := range datagrams {
		if _, err := conn.Write([]byte(datagram)); err != nil {
			t.Fatal(err)
		}
	}
}

// names are whose hints come next.
func names(t *testing.T, put <-chan hints.Hint, count int) string {
	t.Helper()
	var out []string
	for range count {
		select {
		case hint := <-put:
			if hint.Backend != mailnotify.Name || hint.Folder != mailbox.Inbox || hint.Mail != nil || hint.At.IsZero() {
				t.Errorf("hint %+v", hint)
			}
			out = append(out, hint.Name)
		case <-time.After(20 * time.Second):
			t.Fatalf("after %v there is no hint", out)
		}
	}
	return strings.Join(out, " ")
}

func count(t *testing.T, registry *prometheus.Registry, result string) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range families[0].GetMetric() {
		if metric.GetLabel()[0].GetValue() == result {
			return int(metric.GetCounter().GetValue())
		}
	}
	return -1
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// What nobody understands is counted, and the next datagram is understood.
func TestDatagramsComeInByUDPAndByASocket(t *testing.T) {
	t.Parallel()
	udp := socket(t, "udp", "127.0.0.1:0")
	unix := socket(t, "unixgram", filepath.Join(t.TempDir(), "notify"))
	put, registry := receiving(t, mailnotify.Senders{Allow: loopback()}, udp, unix)
	send(t, udp.LocalAddr(), "", "x", "\x00\x00\x00", strings.Repeat("\x00", 60_000), datagram(mailOf, ""),
		strings.Replace(datagram(mailOf, "zoe"), "INBOX", "Trash", 1), strings.Replace(datagram(mailOf, "zoe"), "MAIL", "SIEVE", 1),
		datagram(mailOf, "anna"))
	if got := names(t, put, 1); got != "anna" {
		t.Errorf("got %s", got)
	}
	for result, want := range map[string]int{"malformed": 5, "other_folder": 1, "other_event": 1} {
		if got := count(t, registry, result); got != want {
			t.Errorf("%s: %d, want %d", result, got, want)
		}
	}
	send(t, unix.LocalAddr(), datagram(mailOf, "bob"))
	if got := names(t, put, 1); got != "bob" {
		t.Errorf("got %s", got)
	}
}

func TestStrangersAreNotListenedTo(t *testing.T) {
	t.Parallel()
	udp := socket(t, "udp", "127.0.0.1:0")
	put, registry := receiving(t, mailnotify.Senders{
		Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}, udp)
	own := socket(t, "unixgram", filepath.Join(t.TempDir(), "own"))
	withSecret, secretRegistry := receiving(t, mailnotify.Senders{Secret: secret.New("s3cret")}, own)
	send(t, udp.LocalAddr(), datagram(mailOf, "anna"))
	send(t, own.LocalAddr(), datagram(mailOf, "eve"), strings.Replace(datagram(secretly, "eve"), "s3cret", "guess", 1), datagram(secretly, "anna"))
	if got := names(t, withSecret, 1); got != "anna" || count(t, secretRegistry, "wrong_secret") != 2 {
		t.Errorf("got %s, %d wrong", got, count(t, secretRegistry, "wrong_secret"))
	}
	for count(t, registry, "stranger") != 1 {
		<-time.After(time.Millisecond)
	}
	if len(put) > 0 {
		t.Error("a stranger's datagram was taken")
	}
}

func TestALoginEndsAtTheDelimiter(t *testing.T) {
	t.Parallel()
	unix := socket(t, "unixgram", filepath.Join(t.TempDir(), "notify"))
	put, _ := receiving(t, mailnotify.Senders{LoginDelimiter: "@"}, unix)
	send(t, unix.LocalAddr(), datagram(mailOf, "anna@example.org"), datagram(mailOf, "bob"))
	if got := names(t, put, 2); got != "anna bob" {
		t.Errorf("got %s", got)
	}
}

// pipe is a socket in memory, which lives in simulated time.
type pipe struct {
	net.PacketConn

	datagrams chan string
	closed    chan struct{}
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case datagram := <-p.datagrams:
		return copy(b, datagram), &net.UnixAddr{}, nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}
func (p *pipe) LocalAddr() net.Addr { return &net.UnixAddr{} }
func (p *pipe) Close() error        { close(p.closed); return nil }

func TestHintsOfAUserAreGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{datagrams: make(chan string), closed: make(chan struct{})}
		var mu sync.Mutex // what synctest orders the race detector does not know of
		var put []hints.Hint
		receiver := mailnotify.New(mailnotify.Config{Window: 5 * time.Second, Put: func(hint hints.Hint) hints.Result {
			mu.Lock()
			defer mu.Unlock()
			put = append(put, hint)
			return hints.Local
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- receiver.Run(ctx, p) }()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			<-time.After(after) // simulated
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			var got []string
			for _, hint := range put {
				got = append(got, hint.Name)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("put %v, want %v", got, want)
			}
		}
		for range 1000 {
			p.datagrams <- datagram(mailOf, "anna")
		}
		expect(2*time.Second, nil...)
		p.datagrams <- datagram(mailOf, "bob")
		expect(3*time.Second, "anna")
		p.datagrams <- datagram(mailOf, "anna")
		expect(2*time.Second, "anna", "bob")
		expect(3*time.Second, "anna", "bob", "anna")
		p.datagrams <- datagram(mailOf, "last")
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		expect(0, "anna", "bob", "anna", "last") // the end of the worker loses none
	})
}

// fakeSource is a source that idles, and counts the mailboxes it opens.
type fakeSource struct {
	listen.Source
	listen.Reader

	opened, closed atomic.Int32
}

func (f *fakeSource) Open(context.Context, mailbox.Listening, listen.LoginFunc, listen.Notify) (listen.Reader, listen.Opening, error) {
	f.opened.Add(1)
	return f, listen.Opening{End: mailbox.End{UIDNext: 5}, Waits: machine.ByIdle, Version: 3}, nil
}

func (f *fakeSource) Check(mailbox.Look) (mailbox.Checkup, error) {
	return mailbox.Checkup{End: mailbox.End{UIDNext: 6}}, nil
}

func (f *fakeSource) Close() { f.closed.Add(1) }

// A listener has no connection while it waits for hints. The next one within half a minute
// finds the one before.
func TestTheSourceWaitsForHints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var by fakeSource
		source := mailnotify.NewSource(&by)
		of := mailbox.Listening{Store: &mailv1.MailStore{}}
		for end := uint32(5); end <= 6; end++ {
			reader, opening, err := source.Open(t.Context(), of, nil, nil)
			if err != nil || opening.Waits != machine.ByHints || opening.End.UIDNext != end || opening.Version != 3 {
				t.Fatalf("%+v, %v", opening, err)
			}
			reader.Close()
			<-time.After(29 * time.Second) // simulated
		}
		if by.opened.Load() != 1 || by.closed.Load() != 0 {
			t.Errorf("%d were opened and %d closed", by.opened.Load(), by.closed.Load())
		}
		<-time.After(2 * time.Second) // simulated
		synctest.Wait()
		if by.closed.Load() != 1 {
			t.Error("it is open after half a minute")
		}
		source.Close()
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"mailpush.internal/pkg/pushtest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// wiretap stands between a worker and a mail store without TLS, and notes each read of
// mails with how much the mail store answers.
type wiretap struct {
	t      *testing.T
	target string
	reads  chan tapped
}

// tapped is one UID FETCH.
type tapped struct {
	command string
	bytes   int // of the answer, its tagged end included
}

func startWiretap(t *testing.T, target string) (address string, tap *wiretap) {
	t.Helper()
	tap = &wiretap{t: t, target: target, reads: make(chan tapped, 64)}
	listener := listenTCP(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			worker, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { tap.serve(worker) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait() // the worker has ended, and with it all connections
	})
	return listener.Addr().String(), tap
}

// serve copies what both say, line by line, until one of them has ended.
func (w *wiretap) serve(worker net.Conn) {
	defer func() { _ = worker.Close() }()
	store, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", w.target)
	if err != nil {
		return // the test has ended
	}
	defer func() { _ = store.Close() }()
	var mu sync.Mutex
	var read tapped // the one in flight
	var copying sync.WaitGroup
	copying.Go(func() {
		defer func() { _ = store.Close() }()
		lines(worker, store, func(line string) {
			if _, command, _ := strings.Cut(line, " "); strings.HasPrefix(command, "UID FETCH") {
				mu.Lock()
				defer mu.Unlock()
				read = tapped{command: line}
			}
		})
	})
	lines(store, worker, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if read.command == "" {
			return
		}
		read.bytes += len(line)
		if tag, command, _ := strings.Cut(read.command, " "); strings.HasPrefix(line, tag+" ") {
			w.reads <- tapped{strings.TrimSpace(command), read.bytes}
			read = tapped{}
		}
	})
	_ = worker.Close()
	copying.Wait()
}

// lines copies lines and shows each before it is passed on.
func lines(from io.Reader, to io.Writer, show func(string)) {
	for reader := bufio.NewReader(from); ; {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		show(line)
		if _, err := io.WriteString(to, line); err != nil {
			return
		}
	}
}

// Each content level has a real mail store asked for what it tells of, and no more: what is
// asked, what is answered and what is pushed, of a mail with much in its header.
func TestContentLevelsReadWhatTheyTell(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	address, tap := startWiretap(t, d.server.Addr())
	store := d.registry.stores[0]
	store.Address, store.TlsMode = address, mailv1.TlsMode_TLS_MODE_PLAIN
	const mail = "From: Anna <anna@example.org>\r\nSubject: the minutes\r\nDate: Mon, 2 Mar 2026 08:00:00 +0000\r\nTo: %s\r\n\r\nhello\r\n"
	text := fmt.Appendf(nil, mail, strings.Repeat("somebody@example.org,\r\n ", 100)+"you@example.org")
	worker, _ := d.startWorker()
	id, client := d.joined(), d.admin(worker)
	d.plan(id, 1, 10, all()...)
	cost := make(map[mailv1.Content]int)
	for content, asked := range map[mailv1.Content]string{
		mailv1.Content_CONTENT_STATE:    "UID FETCH 1 (UID)",
		mailv1.Content_CONTENT_IDS:      "UID FETCH 1 (UID)",
		mailv1.Content_CONTENT_ENVELOPE: "UID FETCH 1 (UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]<0.16384>)",
	} {
		user := &mailv1.User{ContextId: "1", UserId: fmt.Sprint(500 + int(content))}
		if err := d.server.AddUser(user.GetUserId(), password); err != nil {
			t.Fatal(err)
		}
		subscription := d.subscription(worker, "sub_"+user.GetUserId(), user)
		subscription.Content = content
		d.registry.put(user, "main", subscription)
		d.touch(user)
		untilListening(t, client, user, true)
		if err := d.server.Deliver(user.GetUserId(), text); err != nil {
			t.Fatal(err)
		}
		read := receive(t, "read", tap.reads)
		push := receive(t, "push", d.hook.got)
		if cost[content] = read.bytes; read.command != asked {
			t.Errorf("%v asks %q, want %q", content, read.command, asked)
		}
		tells(t, content, push.body)
	}
	t.Logf("bytes read per mail: %v", cost)
	if thin, rich := cost[mailv1.Content_CONTENT_IDS], cost[mailv1.Content_CONTENT_ENVELOPE]; 2*thin > rich {
		t.Errorf("an answer with a UID has %d bytes, one with an envelope %d", thin, rich)
	}
}

// tells checks what a push tells of one mail.
func tells(t *testing.T, content mailv1.Content, push *pushtest.Push) {
	t.Helper()
	data := push.Data
	if push.Type != pushtest.TypeNewMail || data.Count != 1 || data.Cursor != 1 || data.Unread != 1 || data.UIDValidity == 0 {
		t.Errorf("%v: pushed %s", content, push.Body)
	}
	if content == mailv1.Content_CONTENT_STATE {
		if data.Events != nil {
			t.Errorf("%v: pushed %s", content, push.Body)
		}
		return
	}
	if len(data.Events) != 1 || data.Events[0].ID == "" || data.Events[0].UID != 1 {
		t.Fatalf("%v: pushed %s", content, push.Body)
	}
	event := data.Events[0]
	whole := event.From == "Anna <anna@example.org>" && event.Subject == "the minutes" && event.Size > 2000 && !event.ReceivedAt.IsZero()
	nothing := event == pushtest.Event{ID: event.ID, UID: 1}
	if content == mailv1.Content_CONTENT_ENVELOPE && !whole || content == mailv1.Content_CONTENT_IDS && !nothing {
		t.Errorf("%v: pushed %s", content, push.Body)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/pushtest"
	"mailpush.internal/trials/internal/rig"
)

// 3 mails of 405 KB stop no mailbox, as they once did for as long as they lay there: each
// of four headers has 100 KB of addresses, which are megabytes in an ENVELOPE. They and
// the ordinary mail behind them arrive while the endpoint has not answered the push of the
// mail before: so they are read together.
func TestLongAddressListsStopNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Dovecot: run make test") //nolint:forbidigo // only with -short
	}
	const box, within = "anna", 10 * time.Second
	dovecot := dovecottest.Start(t)
	if err := dovecot.AddUser(box, rig.Password); err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, dovecot.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	mailpush := withoutWorkers(t, rig.Options{Store: rig.Store{Address: dovecot.TLSAddr(), CAFile: authority}})
	startWorker(t, mailpush, "worker")
	sink := pushtest.Start(t)
	subscribe(t, mailpush, box, sink)

	answer := make(chan struct{})
	sink.AnswerWith(func(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
		select {
		case <-answer:
		case <-request.Context().Done(): // the test has failed
		}
		pushtest.Accept(w, request, push)
	})
	want := []string{"before", "long 1", "long 2", "long 3", "behind"}
	deliver(t, dovecot, box, ordinary(want[0]))
	awaitPush(t, sink, box, want[0], pushTimeout)
	for _, subject := range want[1:4] {
		deliver(t, dovecot, box, longAddressLists(subject))
	}
	deliver(t, dovecot, box, ordinary(want[4]))
	close(answer)
	awaitPush(t, sink, box, want[4], within)
	if got := subjects(sink, box); !slices.Equal(got, want) {
		t.Errorf("pushed %q, want %q", got, want)
	}
}

func ordinary(subject string) string {
	return "From: Zoe <zoe@example.org>\r\nTo: anna@example.org\r\nSubject: " + subject + "\r\n\r\nHello.\r\n"
}

// longAddressLists is a mail of four headers, each with some 49,000 addresses, which are
// as short as can be.
func longAddressLists(subject string) string {
	const perLine, lines = 35, 1387
	list := strings.Repeat(strings.Repeat("a,", perLine)+"\r\n ", lines) + "z\r\n"
	mail := "Subject: " + subject + "\r\n"
	for _, header := range []string{"From", "Reply-To", "To", "Cc"} {
		mail += header + ": " + list
	}
	return mail + "\r\nHello.\r\n"
}

func deliver(t *testing.T, dovecot *dovecottest.Server, box, mail string) {
	t.Helper()
	if err := dovecot.Deliver(box, []byte(mail)); err != nil {
		t.Fatal(err)
	}
}

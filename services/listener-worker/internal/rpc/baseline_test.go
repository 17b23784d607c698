// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// fakeSource takes its time to open a mailbox, and counts who is in.
type fakeSource struct {
	listen.Source

	takes time.Duration

	mu       sync.Mutex
	in, most map[string]int // by mail store
}

func (f *fakeSource) count(store string, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in[store] += by
	f.most[store] = max(f.most[store], f.in[store])
}

func (f *fakeSource) Baseline(ctx context.Context, store *mailv1.MailStore, login mailbox.Login) (mailbox.End, error) {
	f.count(store.GetName(), 1)
	defer f.count(store.GetName(), -1)
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return mailbox.End{}, fault.New(fault.Unavailable, "mail store does not answer")
	}
	if login.Username == "refused" {
		return mailbox.End{}, fault.New(fault.Unauthenticated, "mail store refused the credential")
	}
	return mailbox.End{Folder: "INBOX", UIDValidity: 7, UIDNext: 101}, nil
}

func handlerOf(takes time.Duration) (*Handler, *fakeSource) {
	source := &fakeSource{takes: takes, in: make(map[string]int), most: make(map[string]int)}
	return New(Worker{Sources: map[string]listen.Source{"imapidle": source}}), source
}

func ask(ctx context.Context, t *testing.T, h *Handler, store string, logins ...string) []*workerv1.MailboxBaseline {
	t.Helper()
	m := &workerv1.GetBaselinesRequest{Store: &mailv1.MailStore{Name: store, Backend: "imapidle"}}
	for _, login := range logins {
		m.Mailboxes = append(m.Mailboxes, &workerv1.BaselineMailbox{Login: login})
	}
	answer, err := h.GetBaselines(ctx, connect.NewRequest(m))
	if err != nil || len(answer.Msg.GetBaselines()) != len(logins) {
		t.Fatalf("got %v, %v", answer, err)
	}
	return answer.Msg.GetBaselines()
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("user-", i)
	}
	return out
}

func TestEachMailboxHasItsAnswer(t *testing.T) {
	t.Parallel()
	h, _ := handlerOf(0)
	got := ask(t.Context(), t, h, "main", "anna", "refused", "bob")
	for i, code := range []string{"", "unauthenticated", ""} {
		if got[i].GetCode() != code || (code == "") != (got[i].GetBaseline().GetCursors() != nil) {
			t.Errorf("%d: %v", i, got[i])
		}
	}
	if c := got[0].GetBaseline().GetCursors()[0]; c.GetUid() != 100 || c.GetUidValidity() != 7 {
		t.Errorf("got %v", c)
	}
}

// Of one mail store a few are opened at once, whoever asks; another one is not held up.
func TestFewMailboxesOfAStoreAreOpenedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, source := handlerOf(time.Second)
		var calls sync.WaitGroup
		begun := time.Now()
		for range 2 {
			calls.Go(func() { ask(t.Context(), t, h, "main", many(2*loginsAtOnce)...) })
		}
		ask(t.Context(), t, h, "other", many(loginsAtOnce)...)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("another mail store was answered for after %v", took)
		}
		calls.Wait()
		if took := time.Since(begun); source.most["main"] != loginsAtOnce || took != 4*time.Second {
			t.Errorf("%d at once, in %v", source.most["main"], took)
		}
	})
}

// What is known is told while the caller still waits.
func TestTheAnswerComesInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := handlerOf(4 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+answerTime)
		defer cancel()
		for i, got := range ask(ctx, t, h, "main", many(3*loginsAtOnce)...) {
			if want := i < loginsAtOnce; want != (got.GetCode() == "") || !want && got.GetCode() != "unavailable" {
				t.Errorf("%d: %v", i, got)
			}
		}
		if ctx.Err() != nil {
			t.Error("the caller has gone away")
		}
	})
}

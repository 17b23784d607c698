// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// A worker is told to have listeners try again, and has those try that are meant.
func TestListenersAreToldToTryAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var logins atomic.Int32
	var limited atomic.Bool
	server := w.onScript(map[string]func(p *imaptest.Peer, tag, args string){"AUTHENTICATE": func(p *imaptest.Peer, tag, args string) {
		if !limited.Load() {
			p.Answer(tag, "AUTHENTICATE", args)
			return
		}
		logins.Add(1)
		p.Send(tag + " NO [LIMIT] too many\r\n") // for which nobody comes back soon
	}})
	user := &mailv1.User{ContextId: "1", UserId: "249"}
	client, _, _ := w.listens(user)
	limited.Store(true)
	server.Drop()
	untilTrouble(t, client, user, "too many")
	for name, c := range map[string]struct {
		request *workerv1.RetryRequest
		most    uint32
	}{
		"another mail store's": {&workerv1.RetryRequest{MailStore: "other"}, 0},
		"another user's":       {&workerv1.RetryRequest{User: &mailv1.User{ContextId: "249", UserId: "1"}}, 0},
		"the mail store's":     {&workerv1.RetryRequest{MailStore: "main"}, 1},
		"the user's":           {&workerv1.RetryRequest{User: user}, 1},
		"all":                  {&workerv1.RetryRequest{}, 1},
	} {
		for { // it may be trying at this moment
			before := logins.Load()
			response, err := client.Retry(t.Context(), connect.NewRequest(c.request))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			told := response.Msg.GetListeners()
			if told > c.most || response.Msg.GetWorker() == "" || response.Msg.GetSuspended() > 0 {
				t.Errorf("%s: %v", name, response.Msg)
			}
			if c.most == 0 {
				break
			}
			if told == 1 {
				untilCount(t, &logins, before+1)
				break
			}
			untilTrouble(t, client, user, "too many")
		}
	}
}

// untilCount waits until something has been counted so often.
func untilCount(t *testing.T, counter *atomic.Int32, want int32) {
	t.Helper()
	for late := time.After(patience); counter.Load() < want; {
		select {
		case <-late:
			t.Fatalf("counted %d, want %d", counter.Load(), want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

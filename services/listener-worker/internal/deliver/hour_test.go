// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// shared is where half of the endpoints of failingWorld are.
const shared = "https://shared.example/"

// failingWorld is a world whose endpoints all fail. It counts, and keeps nothing. All
// its calls come from one goroutine.
type failingWorld struct {
	loop   *Loop
	shared int // requests
	own    map[string]int
}

func (w *failingWorld) put(n int, url string) {
	if url != shared {
		w.own[url] = 0
	}
	user := mailbox.User{Context: fmt.Sprint(n % 100), ID: fmt.Sprint(n)}
	w.loop.Put(hold.Claim{Backend: "imapidle", Shard: 3, Epoch: 9}, user, "mail", []*transport.Subscription{transport.SubscriptionOf(&registryv1.Subscription{
		Id: fmt.Sprint(n), Target: &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}}, SecretVersion: 1, Confirmed: true,
		Cursors: []*mailv1.Cursor{{Folder: "INBOX", UidValidity: 7, Uid: 10}},
	})})
}

// arrive tells of the end of all folders.
func (w *failingWorld) arrive(users int, next uint32) {
	for n := range users {
		user := mailbox.User{Context: fmt.Sprint(n % 100), ID: fmt.Sprint(n)}
		w.loop.Head(user, mailbox.End{Folder: "INBOX", UIDValidity: 7, UIDNext: next}, time.Now())
	}
}

func (w *failingWorld) Send(_ context.Context, push transport.Push) transport.Result {
	if push.Target.Address == shared {
		w.shared++
	} else {
		w.own[push.Target.Address]++
	}
	return transport.Result{Class: transport.Retry, Detail: "the endpoint answered 503"}
}

func (w *failingWorld) Asks() bool                            { return true }
func (w *failingWorld) Signs() bool                           { return true }
func (w *failingWorld) Origin(target transport.Target) string { return target.Address }

func (w *failingWorld) SigningSecret(context.Context, mailbox.User, string, uint32) (secret.String, error) {
	return secret.New("key"), nil
}

func (w *failingWorld) Headers(context.Context, mailbox.User, string, uint32) (*transport.Headers, error) {
	return new(transport.Headers), nil
}

func (w *failingWorld) CommitCursors(context.Context, map[hold.Claim][]Served) ([]hold.Claim, error) {
	return nil, nil
}

func (w *failingWorld) OpenEpoch(context.Context, []hold.Claim) ([]hold.Claim, error) {
	return nil, nil
}

func (w *failingWorld) ReportEndpoints(_ context.Context, reports []EndpointReport) ([]Verdict, error) {
	return make([]Verdict, len(reports)), nil
}

func (w *failingWorld) Fetch(user mailbox.User, from uint32, _ mailbox.Detail) {
	w.loop.Fetched(mailbox.Read{
		User: user, End: mailbox.End{Folder: "INBOX", UIDValidity: 7, UIDNext: 12}, From: from, Upto: 11,
		Mails: []mailbox.Mail{{UID: 11, ReceivedAt: time.Now()}},
	})
}

// inUse is what is in use when all is collected.
func inUse() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what a pool has kept
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// drive is a loop that does everything itself, one thing after the other, until the
// simulated time is over.
func drive(l *Loop, d time.Duration) {
	for end := time.Now().Add(d); ; {
		l.loop.Drain()
		at := l.round(time.Now())
		if l.loop.Drain() > 0 {
			continue
		}
		if at.IsZero() || at.After(end) {
			<-time.After(time.Until(end))
			return
		}
		<-time.After(time.Until(at))
	}
}

// An hour in which everything fails: ten thousand endpoints at one origin and ten
// thousand at origins of their own. Each costs a cursor and a timer, and few requests.
//
//nolint:paralleltest // it looks at the memory in use, which must be its own
func TestHourOfFailures(t *testing.T) {
	const endpoints = 10_000
	synctest.Test(t, func(t *testing.T) {
		w := &failingWorld{own: make(map[string]int, endpoints)}
		l := New(Config{}, transport.Table{transport.Webhook: w}, w, w, w)
		w.loop, l.ctx, l.beside = l, t.Context(), func(f func()) { f() }
		for n := range endpoints {
			w.put(n, fmt.Sprintf("https://own%d.example/", n))
			w.put(endpoints+n, shared)
		}
		w.arrive(2*endpoints, 11)
		drive(l, time.Minute)
		idle := inUse()
		w.arrive(2*endpoints, 12)
		drive(l, time.Hour)
		grown := inUse() - idle
		sum, worst := 0, 0
		for _, requests := range w.own {
			sum, worst = sum+requests, max(worst, requests)
		}
		each := float64(sum) / endpoints
		t.Logf("grown by %d KiB; %.1f requests to each endpoint of its own, %d at most; %d to the shared origin",
			grown>>10, each, worst, w.shared)
		if grown > 10<<20 {
			t.Errorf("the failures cost %d bytes", grown)
		}
		if each < 5 || each > 20 || worst > 50 {
			t.Errorf("%.1f requests to each endpoint, %d at most", each, worst)
		}
		if most := defaultOriginTurns + 80*32; w.shared > most { // those out when it breaks, and a look per cool-down
			t.Errorf("%d requests to the origin that fails, want %d at most", w.shared, most)
		}
	})
}

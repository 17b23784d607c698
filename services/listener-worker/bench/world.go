// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	tenants     = 10
	folder      = "INBOX"
	uidValidity = 7
	pageSize    = 100 // mails of one fetch, as of imapidle
	signingKey  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// world is what surrounds the loop: mailboxes that hold mail as soon as they are told
// to, and a registry that takes every cursor.
type world struct {
	loop  *deliver.Loop
	boxes map[mailbox.User]*inbox
	users []mailbox.User

	end  context.CancelFunc
	done chan error
}

// inbox holds every UID below next.
type inbox struct{ next atomic.Uint32 }

// subscription is where the mail of one user goes.
type subscription struct {
	url  string
	mode mailv1.Mode
}

// startWorld runs a loop for as many mailboxes as there are subscriptions.
func startWorld(ctx context.Context, webhooks transport.Transport, subscriptions []subscription) *world {
	w := &world{boxes: make(map[mailbox.User]*inbox), done: make(chan error, 1)}
	w.loop = deliver.New(deliver.Config{}, transport.Table{transport.Webhook: webhooks}, w, w, w)
	ctx, w.end = context.WithCancel(ctx)
	go func() { w.done <- w.loop.Run(ctx) }()
	claim := hold.Claim{Backend: "imapidle", Shard: 1, Epoch: 1}
	for n, subscription := range subscriptions {
		user := mailbox.User{Context: contextOf(n), ID: strconv.Itoa(n)}
		box := &inbox{}
		box.next.Store(1)
		w.boxes[user] = box
		w.users = append(w.users, user)
		w.loop.Put(claim, user, "bench", []*transport.Subscription{transport.SubscriptionOf(&registryv1.Subscription{
			Id: "sub_" + user.ID, Target: webhookAt(subscription.url), Mode: subscription.mode, Confirmed: true,
			SecretVersion: 1, Content: mailv1.Content_CONTENT_ENVELOPE,
			Cursors: []*mailv1.Cursor{{Folder: folder, UidValidity: uidValidity}},
		})})
	}
	return w
}

// webhookAt is a target as the registry names it.
func webhookAt(url string) *mailv1.Target {
	return &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}}
}

// stop ends the loop and cuts off what is in flight.
func (w *world) stop() error {
	w.end()
	return <-w.done
}

// arrive lets mails come to the nth mailbox, and has them noticed.
func (w *world) arrive(n int, count uint32) {
	user := w.users[n]
	next := w.boxes[user].next.Add(count)
	w.loop.Head(user, end(next), time.Now())
}

func end(next uint32) mailbox.End {
	return mailbox.End{Folder: folder, UIDValidity: uidValidity, UIDNext: next, Unseen: next - 1}
}

// drive lets mails come evenly, to one mailbox after the other.
func (w *world) drive(ctx context.Context, rate int, span time.Duration) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	sent := 0
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			past := min(now.Sub(began), span)
			for due := int(past.Seconds() * float64(rate)); sent < due; sent++ {
				w.arrive(sent%len(w.users), 1)
			}
			if past == span {
				return
			}
		}
	}
}

// Fetch implements [deliver.Mailboxes].
func (w *world) Fetch(user mailbox.User, from uint32, _ mailbox.Detail) {
	next := w.boxes[user].next.Load()
	read := mailbox.Read{User: user, End: end(next), From: from, Upto: min(next-1, from+pageSize-1)}
	for uid := from; uid <= read.Upto; uid++ {
		read.Mails = append(read.Mails, mailbox.Mail{
			UID: uid, From: "Anna Lindgren <anna.lindgren@example.org>", Subject: fmt.Sprintf("The minutes of meeting %d, with two questions", uid),
			ReceivedAt: time.Unix(int64(uid), 0), Size: 4096,
		})
	}
	w.loop.Fetched(read)
}

// CommitCursors implements [deliver.Registry].
func (w *world) CommitCursors(context.Context, map[hold.Claim][]deliver.Served) ([]hold.Claim, error) {
	return nil, nil
}

// OpenEpoch implements [deliver.Registry].
func (w *world) OpenEpoch(context.Context, []hold.Claim) ([]hold.Claim, error) { return nil, nil }

// ReportEndpoints implements [deliver.Registry].
func (w *world) ReportEndpoints(_ context.Context, reports []deliver.EndpointReport) ([]deliver.Verdict, error) {
	return make([]deliver.Verdict, len(reports)), nil
}

// SigningSecret implements [deliver.Secrets].
func (w *world) SigningSecret(context.Context, mailbox.User, string, uint32) (secret.String, error) {
	return secret.New(signingKey), nil
}

// Headers implements [deliver.Secrets]: there are none.
func (w *world) Headers(context.Context, mailbox.User, string, uint32) (*transport.Headers, error) {
	return new(transport.Headers), nil
}

// tally counts down to the last of some deliveries.
type tally struct {
	mu   sync.Mutex
	left int
	done chan struct{}
}

func newTally(count int) *tally { return &tally{left: count, done: make(chan struct{})} }

func (t *tally) count(mails int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left -= mails; t.left <= 0 && t.left+mails > 0 {
		close(t.done)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

var errDown = errors.New("down")

// fakeWorld is everything around a loop. Its fields are guarded by mu.
type fakeWorld struct {
	t        *testing.T
	mu       sync.Mutex
	loop     *deliver.Loop
	next     map[mailbox.User]uint32 // where the mailboxes end
	slow     map[string]bool         // mail stores that do not answer
	storeOf  func(mailbox.User) string
	pushes   []transport.Push // as they arrived at the endpoints
	pings    []transport.Push
	consent  func() transport.Result // what pings are answered; nil: OK
	tests    []transport.Push
	endings  []transport.Push
	ending   func() transport.Result // what they are answered; nil: OK
	reports  []deliver.EndpointReport
	groups   []int                                               // how many reports each call had
	tellErr  error                                               // of ReportEndpoints
	verdict  func(report deliver.EndpointReport) deliver.Verdict // nil: kept
	answer   func(ctx context.Context, push transport.Push) transport.Result
	fetches  int
	details  []mailbox.Detail                                          // of each
	opened   int                                                       // how often the vault was asked
	open     func(ctx context.Context, user mailbox.User, n int) error // what it does the nth time
	commits  []map[hold.Claim][]deliver.Served
	storeErr error
	storing  time.Duration // how long storing takes
	perRow   time.Duration // and how long each cursor more
	refuse   []hold.Claim
	doubtful bool // the right to act is in doubt
	asked    int  // how often the registry was asked for an epoch
	askErr   error
	refused  []hold.Claim
}

func (w *fakeWorld) Asks() bool  { return true }
func (w *fakeWorld) Signs() bool { return true }

// Origin is where the address points.
func (w *fakeWorld) Origin(target transport.Target) string {
	at, err := url.Parse(target.Address)
	if err != nil {
		return ""
	}
	return at.Scheme + "://" + at.Host
}

func (w *fakeWorld) Send(ctx context.Context, push transport.Push) transport.Result {
	switch push.Purpose {
	case transport.Ask:
		return w.ping(push)
	case transport.Try:
		return w.test(push)
	case transport.End:
		return w.end(push)
	case transport.Announce:
	}
	w.mu.Lock()
	w.pushes = append(w.pushes, push)
	answer := w.answer
	w.mu.Unlock()
	if answer == nil {
		return transport.Result{}
	}
	return answer(ctx, push)
}

func (w *fakeWorld) ping(push transport.Push) transport.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pings = append(w.pings, push)
	if w.consent == nil {
		return transport.Result{}
	}
	return w.consent()
}

func (w *fakeWorld) test(push transport.Push) transport.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tests = append(w.tests, push)
	return transport.Result{}
}

func (w *fakeWorld) end(push transport.Push) transport.Result {
	w.mu.Lock()
	w.endings = append(w.endings, push)
	ending := w.ending
	w.mu.Unlock()
	if ending == nil {
		return transport.Result{}
	}
	return ending()
}

func (w *fakeWorld) ReportEndpoints(_ context.Context, reports []deliver.EndpointReport) ([]deliver.Verdict, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tellErr != nil {
		return nil, w.tellErr
	}
	w.reports = append(w.reports, reports...)
	w.groups = append(w.groups, len(reports))
	verdicts := make([]deliver.Verdict, len(reports))
	for i, report := range reports {
		verdicts[i] = deliver.Kept
		if w.verdict != nil {
			verdicts[i] = w.verdict(report)
		}
	}
	return verdicts, nil
}

// SigningSecret gives out a key for slot 0, and what has been the key before for slot 1.
func (w *fakeWorld) SigningSecret(ctx context.Context, user mailbox.User, _ string, slot uint32) (secret.String, error) {
	w.mu.Lock()
	w.opened++
	n, open := w.opened, w.open
	w.mu.Unlock()
	if open != nil {
		if err := open(ctx, user, n); err != nil {
			return secret.String{}, err
		}
	}
	if slot == 1 {
		return secret.New("other"), nil
	}
	return secret.New(fmt.Sprintf("key %d", n)), nil
}

// Headers gives out one header, whose value says where it was; none are in slot 404.
func (w *fakeWorld) Headers(_ context.Context, _ mailbox.User, subscription string, slot uint32) (*transport.Headers, error) {
	if slot == 404 {
		return nil, fault.New(fault.NotFound, "no such credential")
	}
	value := secret.New(fmt.Sprint(subscription, " ", slot))
	return &transport.Headers{Origin: "o", List: []transport.Header{{Name: "X-Key", Value: value}}}, nil
}

func (w *fakeWorld) CommitCursors(ctx context.Context, cursors map[hold.Claim][]deliver.Served) ([]hold.Claim, error) {
	w.mu.Lock()
	storing := w.storing
	for _, rows := range cursors {
		storing += time.Duration(len(rows)) * w.perRow
	}
	w.mu.Unlock()
	select {
	case <-time.After(storing):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.storeErr != nil {
		return nil, w.storeErr
	}
	w.commits = append(w.commits, cursors)
	return slices.DeleteFunc(slices.Collect(maps.Keys(cursors)), func(claim hold.Claim) bool {
		return !slices.Contains(w.refuse, claim)
	}), nil
}

func (w *fakeWorld) OpenEpoch(_ context.Context, claims []hold.Claim) ([]hold.Claim, error) {
	<-time.After(time.Millisecond) // simulated: a call takes its time
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.askErr != nil {
		return nil, w.askErr
	}
	return slices.DeleteFunc(claims, func(claim hold.Claim) bool { return !slices.Contains(w.refuse, claim) }), nil
}

// Fetch answers from a mailbox in which every UID below next is there, as it is then: a
// listener shows no end older than the last one it has shown.
func (w *fakeWorld) Fetch(user mailbox.User, from uint32, detail mailbox.Detail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetches++
	w.details = append(w.details, detail)
	if w.slow[w.store(user)] {
		return
	}
	go func() {
		<-time.After(time.Millisecond)
		w.mu.Lock()
		batch := mailbox.Read{User: user, End: w.box(user), From: from, Upto: w.next[user] - 1, Detail: detail}
		for uid := from; uid < w.next[user]; uid++ {
			mail := mailbox.Mail{UID: uid}
			if detail == mailbox.Envelopes {
				mail.Subject, mail.ReceivedAt = fmt.Sprint("mail ", uid), time.Now()
			}
			batch.Mails = append(batch.Mails, mail)
		}
		w.mu.Unlock()
		w.loop.Fetched(batch)
	}()
}

func (w *fakeWorld) box(user mailbox.User) mailbox.End {
	return mailbox.End{Folder: "INBOX", UIDValidity: 7, UIDNext: w.next[user], Unseen: 1}
}

// store is where a mailbox is.
func (w *fakeWorld) store(user mailbox.User) string {
	if w.storeOf == nil {
		return "mail"
	}
	return w.storeOf(user)
}

// deliverMail lets mails arrive.
func (w *fakeWorld) deliverMail(user mailbox.User, count uint32) {
	w.mu.Lock()
	w.next[user] += count
	box := w.box(user)
	w.mu.Unlock()
	w.loop.Head(user, box, time.Now())
}

func (w *fakeWorld) set(change func(w *fakeWorld)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// sent is the UIDs each subscription was pushed, in order.
func (w *fakeWorld) sent() map[string][]uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string][]uint32)
	for _, push := range w.pushes {
		for _, mail := range push.Batch.Mails {
			out[push.Subscription] = append(out[push.Subscription], mail.UID)
		}
	}
	return out
}

// stored is the newest stored cursor of a subscription.
func (w *fakeWorld) stored(subscription string) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	uid := uint32(0)
	for _, commit := range w.commits {
		for _, cursors := range commit {
			for _, cursor := range cursors {
				if cursor.Subscription == subscription {
					uid = cursor.UID
				}
			}
		}
	}
	return uid
}

// claim is what all mailboxes are held by.
func claim() hold.Claim { return hold.Claim{Backend: "imapidle", Shard: 3, Epoch: 9} }

func user(n int) mailbox.User { return mailbox.User{Context: "1", ID: fmt.Sprint(n)} }

// subscribed is a subscription whose cursor is at UID 10.
func subscribed(id, url string) *transport.Subscription {
	return transport.SubscriptionOf(&registryv1.Subscription{
		Id: id, Target: webhookAt(url), SecretVersion: 1, Confirmed: true,
		Cursors: []*mailv1.Cursor{{Folder: "INBOX", UidValidity: 7, Uid: 10}},
	})
}

func subscriptions(all ...*transport.Subscription) []*transport.Subscription { return all }

// put adds a mailbox that holds nothing new.
func (w *fakeWorld) put(u mailbox.User, subscriptions ...*transport.Subscription) {
	w.mu.Lock()
	w.next[u] = max(w.next[u], 11)
	box, store := w.box(u), w.store(u)
	w.mu.Unlock()
	w.loop.Put(claim(), u, store, subscriptions)
	w.loop.Head(u, box, time.Now())
}

// inWorld runs a test with a running loop, in simulated time.
func inWorld(t *testing.T, cfg deliver.Config, test func(w *fakeWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWorld{t: t, next: make(map[mailbox.User]uint32)}
		cfg.Refused = func(claims []hold.Claim) {
			w.set(func(w *fakeWorld) { w.refused = append(w.refused, claims...) })
		}
		cfg.Current = func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.doubtful
		}
		cfg.Policy.Random = func() float64 { return 1 }
		w.loop = deliver.New(cfg, transport.Table{transport.Webhook: w}, w, w, w)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.loop.Run(ctx) }()
		test(w)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		synctest.Wait()
	})
}

// pass lets time go by and everything come to rest.
func pass(d time.Duration) {
	<-time.After(d) // simulated
	synctest.Wait()
}

// webhookAt is a target as the registry names it.
func webhookAt(url string) *mailv1.Target {
	return &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}}
}

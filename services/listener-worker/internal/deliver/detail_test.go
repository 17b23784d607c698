// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	state    = mailv1.Content_CONTENT_STATE
	ids      = mailv1.Content_CONTENT_IDS
	envelope = mailv1.Content_CONTENT_ENVELOPE
	unsaid   = mailv1.Content_CONTENT_UNSPECIFIED
)

// telling is a subscription of a content level.
func telling(content mailv1.Content, id string) *transport.Subscription {
	s := subscribed(id, "https://"+id+".example/")
	s.Content = content
	return s
}

// subjects is what a subscription was told of its mails, and at which levels.
func (w *fakeWorld) subjects(subscription string) (subjects []string, levels []mailv1.Content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, push := range w.pushes {
		if push.Subscription != subscription {
			continue
		}
		levels = append(levels, push.Content)
		for _, mail := range push.Batch.Mails {
			subjects = append(subjects, mail.Subject)
		}
	}
	return subjects, levels
}

func (w *fakeWorld) wantReads(details ...mailbox.Detail) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.details, details) {
		w.t.Errorf("read in detail %v, want %v", w.details, details)
	}
}

// A mailbox is read once for all who wait, for the one of them that is told most, and each
// is given what it is told.
func TestReadsAreInTheDetailThatSomebodyIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		contents []mailv1.Content
		detail   mailbox.Detail
	}{
		"state":                     {[]mailv1.Content{state}, mailbox.UIDs},
		"ids":                       {[]mailv1.Content{ids}, mailbox.UIDs},
		"envelope":                  {[]mailv1.Content{envelope}, mailbox.Envelopes},
		"not said":                  {[]mailv1.Content{unsaid}, mailbox.Envelopes},
		"state and ids":             {[]mailv1.Content{state, ids}, mailbox.UIDs},
		"envelope and ids":          {[]mailv1.Content{envelope, ids}, mailbox.Envelopes},
		"ids and envelope":          {[]mailv1.Content{ids, envelope}, mailbox.Envelopes},
		"state, not said and state": {[]mailv1.Content{state, unsaid, state}, mailbox.Envelopes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, deliver.Config{}, func(w *fakeWorld) {
				var all []*transport.Subscription
				for i, content := range test.contents {
					all = append(all, telling(content, string(rune('a'+i))))
				}
				w.put(user(1), all...)
				w.deliverMail(user(1), 2)
				pass(time.Second)
				w.wantReads(test.detail)
				for i, content := range test.contents {
					want := []string{"", ""}
					if content == envelope || content == unsaid {
						want = []string{"mail 11", "mail 12"}
					}
					got, levels := w.subjects(all[i].ID)
					if !slices.Equal(got, want) || !slices.Equal(levels, []mailv1.Content{content}) {
						w.t.Errorf("level %v was told %q at %v, want %q", content, got, levels, want)
					}
				}
			})
		})
	}
}

// An endpoint that fails asks when it tries again: until then the others' reads are theirs.
func TestWhoCannotBeServedIsNotReadFor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Subscription == "rich" {
				return transport.Result{Class: transport.Retry, After: time.Hour}
			}
			return transport.Result{}
		}
		w.put(user(1), telling(envelope, "rich"), telling(ids, "thin"))
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		w.wantReads(mailbox.Envelopes, mailbox.UIDs)
		w.set(func(w *fakeWorld) { w.answer = nil })
		pass(3 * time.Hour)
		if got, _ := w.subjects("rich"); len(got) == 0 || got[len(got)-1] != "mail 12" {
			w.t.Errorf("told %q", got)
		}
	})
}

// A subscription that comes while others' UIDs are being read is not given those: it is
// told of the mails as it is to be.
func TestReadOfLessIsAskedForAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), telling(ids, "thin"))
		w.deliverMail(user(1), 1)
		pass(time.Millisecond / 2) // it is being read
		w.loop.Put(claim(), user(1), "mail", subscriptions(telling(ids, "thin"), telling(envelope, "rich")))
		w.loop.Head(user(1), w.box(user(1)), time.Now())
		pass(time.Second)
		w.wantReads(mailbox.UIDs, mailbox.Envelopes)
		for id, want := range map[string][]string{"thin": {""}, "rich": {"mail 11"}} {
			if got, _ := w.subjects(id); !slices.Equal(got, want) {
				w.t.Errorf("%s was told %q, want %q", id, got, want)
			}
		}
	})
}

// What is told of a mail is what it was read for: a level that is changed meanwhile counts
// for the next ones, and no push claims that a mail has no sender.
func TestChangedLevelCountsFromTheNextTurnOn(t *testing.T) {
	t.Parallel()
	for _, mode := range []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH, mailv1.Mode_MODE_LATEST} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			inWorld(t, deliver.Config{}, func(w *fakeWorld) {
				in := func(content mailv1.Content) *transport.Subscription {
					s := telling(content, "a")
					s.Mode = mode
					return s
				}
				w.answer = func(context.Context, transport.Push) transport.Result {
					<-time.After(time.Second) // simulated
					return transport.Result{}
				}
				w.put(user(1), in(ids))
				w.deliverMail(user(1), 2)
				pass(500 * time.Millisecond) // the first push is out
				w.loop.Put(claim(), user(1), "mail", subscriptions(in(envelope)))
				pass(time.Minute)
				w.deliverMail(user(1), 1)
				pass(time.Minute)
				w.wantReads(mailbox.UIDs, mailbox.Envelopes)
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, push := range w.pushes {
					last := push.Batch.Mails[len(push.Batch.Mails)-1]
					if said := last.Subject != ""; said != (push.Content == envelope) || said != (last.UID == 13) {
						w.t.Errorf("mail %d was told as %q at %v", last.UID, last.Subject, push.Content)
					}
				}
			})
		})
	}
}

// Whatever levels there are and however they change, while mail comes and endpoints fail:
// every mail is told of in order, with its subject where the level is to tell one, and
// without where it is not.
func TestEveryPushTellsWhatItsLevelTells(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		inWorld(t, deliver.Config{}, func(w *fakeWorld) {
			random, answers := rand.New(rand.NewPCG(seed, 7)), rand.New(rand.NewPCG(seed, 8)) // the latter under the world's lock
			w.answer = func(context.Context, transport.Push) transport.Result {
				w.mu.Lock()
				span, fails := time.Duration(answers.IntN(2000))*time.Millisecond, answers.IntN(4) == 0
				w.mu.Unlock()
				<-time.After(span) // simulated
				if fails {
					return transport.Result{Class: transport.Retry}
				}
				return transport.Result{}
			}
			put := func() {
				var all []*transport.Subscription
				for _, id := range []string{"a", "b", "c"} {
					s := telling(mailv1.Content(random.IntN(4)), id)
					s.Mode = mailv1.Mode_MODE_EACH
					all = append(all, s)
				}
				w.loop.Put(claim(), user(1), "mail", all)
			}
			w.put(user(1))
			put()
			for range 30 {
				pass(time.Duration(random.IntN(1500)) * time.Millisecond)
				if random.IntN(2) == 0 {
					put()
				}
				w.deliverMail(user(1), uint32(random.IntN(4)))
			}
			pass(24 * time.Hour)
			w.wantEveryMailTold("a", "b", "c")
		})
	}
}

// wantEveryMailTold checks the pushes of subscriptions in mode each.
func (w *fakeWorld) wantEveryMailTold(subscriptions ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	last := make(map[string]uint32)
	for _, push := range w.pushes {
		for _, mail := range push.Batch.Mails {
			want := ""
			if push.Content == envelope || push.Content == unsaid {
				want = fmt.Sprint("mail ", mail.UID)
			}
			if mail.Subject != want {
				w.t.Fatalf("%s was told of mail %d as %q at %v", push.Subscription, mail.UID, mail.Subject, push.Content)
			}
			before := last[push.Subscription]
			if mail.UID != before && mail.UID != max(before, 10)+1 {
				w.t.Fatalf("%s was told of mail %d after %d", push.Subscription, mail.UID, before)
			}
			last[push.Subscription] = mail.UID
		}
	}
	for _, id := range subscriptions {
		if last[id] != w.next[user(1)]-1 {
			w.t.Errorf("%s was told up to %d of %d", id, last[id], w.next[user(1)]-1)
		}
	}
}

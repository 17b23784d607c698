// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// tellMail lets a mail arrive that is told with the end of the folder.
func (w *fakeWorld) tellMail(user mailbox.User) {
	w.mu.Lock()
	mail := mailbox.Mail{UID: w.next[user], ReceivedAt: time.Now(), Size: mailbox.SizeUnknown}
	w.next[user]++
	box := w.box(user)
	w.mu.Unlock()
	w.loop.Told(user, box, mail, time.Now())
}

func TestAToldMailIsNotRead(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"), subscribed("b", "https://b.example/"))
		w.tellMail(user(1))
		pass(time.Second)
		w.tellMail(user(1)) // gathers with
		w.tellMail(user(1))
		pass(3 * time.Second)
		for id, uids := range w.sent() {
			if !slices.Equal(uids, []uint32{11, 12, 13}) {
				w.t.Errorf("%s was sent %v", id, uids)
			}
		}
		if w.fetches != 0 {
			w.t.Errorf("%d reads, want none", w.fetches)
		}
	})
}

func TestASubscriptionThatWantsMailsReadHasThemRead(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		reads := subscribed("reads", "https://a.example/")
		reads.Content = mailv1.Content_CONTENT_READ
		w.put(user(1), reads, subscribed("told", "https://b.example/"))
		w.tellMail(user(1))
		pass(time.Second)
		for _, push := range w.pushes {
			if size := push.Batch.Mails[0].Size; (size == mailbox.SizeUnknown) != (push.Subscription == "told") {
				w.t.Errorf("%s: size %d", push.Subscription, size)
			}
		}
		if w.fetches != 1 || len(w.pushes) != 2 {
			w.t.Errorf("%d reads, %d pushes, want 1 and 2", w.fetches, len(w.pushes))
		}
	})
}

// A mail is told whole; who is told only which mails there are hears no more than a read of
// its own would have brought.
func TestOfAToldMailNobodyGetsMoreThanIsWanted(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		var all []*transport.Subscription
		for _, content := range []mailv1.Content{mailv1.Content_CONTENT_STATE, mailv1.Content_CONTENT_IDS, mailv1.Content_CONTENT_ENVELOPE} {
			sub := subscribed(content.String(), "https://a.example/"+content.String())
			sub.Content = content
			all = append(all, sub)
		}
		w.put(user(1), all...)
		w.tellMail(user(1))
		pass(time.Second)
		for _, push := range w.pushes {
			mail := push.Batch.Mails[0]
			if bare := mail == (mailbox.Mail{UID: 11}); bare == (push.Content == mailv1.Content_CONTENT_ENVELOPE) || mail.UID != 11 {
				w.t.Errorf("%s: %+v", push.Subscription, mail)
			}
		}
		if w.fetches != 0 || len(w.pushes) != len(all) {
			w.t.Errorf("%d reads, %d pushes, want none and %d", w.fetches, len(w.pushes), len(all))
		}
	})
}

func TestWhoIsBehindAToldMailReads(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		behind := subscribed("behind", "https://a.example/")
		behind.Cursors[0].UID = 8
		w.set(func(w *fakeWorld) { w.slow = map[string]bool{"mail": true} })
		w.put(user(1), behind)
		w.tellMail(user(1))
		pass(time.Second)
		if got := w.sent()["behind"]; len(got) > 0 {
			w.t.Errorf("sent %v past mails that were not read", got)
		}
		w.set(func(w *fakeWorld) { w.slow = nil })
		pass(time.Hour)
		if got := w.sent()["behind"]; !slices.Equal(got, []uint32{9, 10, 11}) {
			w.t.Errorf("sent %v", got)
		}
	})
}

// Whatever is told, read, refused for a while or taken back by a look: each mail comes,
// in order, and none twice but in a range that was tried again.
func TestToldAndReadMailsComeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		inWorld(t, deliver.Config{}, func(w *fakeWorld) {
			chance := rand.New(rand.NewPCG(seed, 2))
			var accepted []uint32
			fails := false
			w.answer = func(_ context.Context, push transport.Push) transport.Result {
				w.mu.Lock()
				defer w.mu.Unlock()
				if fails {
					return transport.Result{Class: transport.Retry}
				}
				for _, mail := range push.Batch.Mails {
					accepted = append(accepted, mail.UID)
				}
				return transport.Result{}
			}
			sub := subscribed("a", "https://a.example/")
			sub.Mode = []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH}[seed%2]
			w.put(user(1), sub)
			for range 200 {
				switch chance.IntN(6) {
				case 0:
					w.deliverMail(user(1), uint32(chance.IntN(3)))
				case 1:
					w.set(func(*fakeWorld) { fails = chance.IntN(3) == 0 })
				case 2:
					pass(time.Duration(chance.IntN(3000)) * time.Millisecond)
				default:
					w.tellMail(user(1))
				}
			}
			w.set(func(*fakeWorld) { fails = false })
			pass(time.Hour)
			for i, uid := range accepted {
				if uid != 11+uint32(i) {
					w.t.Fatalf("seed %d: mail %d came as %d", seed, 11+i, uid)
				}
			}
			if last := accepted[len(accepted)-1]; last != w.next[user(1)]-1 {
				w.t.Errorf("seed %d: the last mail is %d of %d", seed, last, w.next[user(1)]-1)
			}
		})
	}
}

func TestToldMailsCostBoundedMemory(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(context.Context, transport.Push) transport.Result {
			return transport.Result{Class: transport.Retry}
		}
		for n := range 100 {
			w.put(user(n), subscribed("a", "https://a.example/"))
			for range 50 {
				w.tellMail(user(n))
			}
		}
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.answer = nil })
		pass(24 * time.Hour)
		got := make(map[mailbox.User]int)
		for _, push := range w.pushes {
			got[push.User] = max(got[push.User], int(push.Batch.Upto))
		}
		for n := range 100 {
			if got[user(n)] != 60 {
				w.t.Errorf("user %d was pushed up to %d, want 60", n, got[user(n)])
			}
		}
		if w.fetches == 0 {
			w.t.Error("all 5,000 mails were kept")
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// One of a hundred endpoints hangs, at an origin of its own or at one that it shares
// with the others: they all get their mail, again and again, before it lets go.
func TestHungEndpointHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"own origins": "https://e%d.example/", "one origin": "https://e.example/%d"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, deliver.Config{}, func(w *fakeWorld) {
				letGo := make(chan struct{})
				w.answer = func(_ context.Context, push transport.Push) transport.Result {
					if push.Subscription == "0" {
						<-letGo
					}
					return transport.Result{}
				}
				for n := range 100 {
					w.put(user(n), subscribed(fmt.Sprint(n), fmt.Sprintf(url, n)))
				}
				for round := range uint32(3) {
					for n := range 100 {
						w.deliverMail(user(n), 1)
					}
					pass(10 * time.Second)
					for n := 1; n < 100; n++ {
						if uid := w.stored(fmt.Sprint(n)); uid != 11+round {
							t.Fatalf("in round %d endpoint %d has been served up to %d", round, n, uid)
						}
					}
					if w.stored("0") != 0 {
						t.Fatal("the endpoint that hangs has been served")
					}
				}
				close(letGo)
				pass(10 * time.Second)
				if uid := w.stored("0"); uid != 13 {
					t.Errorf("the endpoint that hung has been served up to %d", uid)
				}
			})
		})
	}
}

// All mailboxes of a store that does not answer have mail for an origin that others use:
// these are served at once, and so is a mailbox of another tenant that is read meanwhile.
func TestSlowMailStoreKeepsNobodyFromASharedOrigin(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.slow = map[string]bool{"slow": true}
		w.storeOf = func(u mailbox.User) string {
			if n, _ := strconv.Atoi(u.ID); n < 1000 {
				return "slow"
			}
			return "quick"
		}
		for n := range 1100 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://gateway.example/"))
		}
		pass(time.Second)
		for n := range 1100 {
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		for n := 1000; n < 1100; n++ {
			if uid := w.stored(fmt.Sprint(n)); uid != 11 {
				w.t.Fatalf("mailbox %d has been served up to %d", n, uid)
			}
		}
		w.set(func(w *fakeWorld) { w.slow = nil })
		pass(10 * time.Minute)
		for n := range 1000 {
			if uid := w.stored(fmt.Sprint(n)); uid != 11 {
				w.t.Fatalf("mailbox %d of the slow store has been served up to %d", n, uid)
			}
		}
	})
}

// What was read for an origin that breaks meanwhile is not sent, and not lost.
func TestRequestsThatWaitForAnOriginThatBreaksAreMadeLater(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{OriginTurns: 20}, func(w *fakeWorld) {
		hangs := make(chan struct{})
		w.answer = func(context.Context, transport.Push) transport.Result {
			<-hangs
			return transport.Result{Class: transport.Retry, Unanswered: true}
		}
		for n := range 60 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://e.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		if len(w.pushes) != 20 || w.fetches != 60 {
			w.t.Fatalf("%d requests after %d reads", len(w.pushes), w.fetches)
		}
		close(hangs)
		pass(time.Second)
		if len(w.pushes) > 40 { // 19 may have made room before the 20th failure
			w.t.Fatalf("%d requests until the breaker was open", len(w.pushes))
		}
		w.set(func(w *fakeWorld) { w.answer = nil })
		pass(time.Minute)
		for n := range 60 {
			if uid := w.stored(fmt.Sprint(n)); uid != 11 {
				w.t.Errorf("endpoint %d has been served up to %d", n, uid)
			}
		}
	})
}

// Who waits for room at an origin can be renewed, drained and dropped.
func TestRequestThatWaitsForRoomCanGo(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{OriginTurns: 1}, func(w *fakeWorld) {
		hangs := make(chan struct{})
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://e.example/" {
				<-hangs
			}
			return transport.Result{}
		}
		for n := range 3 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://e.example/"))
		}
		pass(time.Second)
		for n := range 3 {
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		if w.fetches != 3 || len(w.pushes) != 1 {
			w.t.Fatalf("%d requests after %d reads", len(w.pushes), w.fetches)
		}
		hung, _ := strconv.Atoi(w.pushes[0].Subscription)
		moves, goes := (hung+1)%3, (hung+2)%3
		moved := subscribed(fmt.Sprint(moves), "https://other.example/")
		moved.Revision = 1
		w.put(user(moves), moved)
		pass(time.Second)
		if uid := w.stored(fmt.Sprint(moves)); uid != 11 {
			w.t.Errorf("the endpoint that has moved has been served up to %d", uid)
		}
		w.loop.Remove(user(goes))
		drained := make(chan error)
		go func() { drained <- w.loop.Drain(w.t.Context(), []hold.Claim{claim()}) }()
		pass(time.Second)
		close(hangs)
		if err := <-drained; err != nil || w.stored(fmt.Sprint(hung)) != 11 || w.stored(fmt.Sprint(goes)) != 0 {
			w.t.Errorf("drained: %v", err)
		}
		if got := w.sent(); len(got) != 2 || len(got[fmt.Sprint(moves)]) != 1 {
			w.t.Errorf("sent %v", got)
		}
	})
}

// While an origin fails it gets few requests. When it works again, all that
// stay away from it try within seconds, whatever they would have waited.
func TestOriginThatWorksAgainIsToldToAll(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{Policy: pump.Policy{Min: time.Hour, Max: time.Hour}}, func(w *fakeWorld) {
		w.answer = func(context.Context, transport.Push) transport.Result {
			<-time.After(100 * time.Millisecond) // simulated
			return transport.Result{Class: transport.Retry}
		}
		for n := range 50 {
			w.put(user(n), subscribed(fmt.Sprint(n), fmt.Sprintf("https://e.example/%d", n)))
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		if len(w.pushes) != 50 { // they were out together
			w.t.Fatalf("%d requests", len(w.pushes))
		}
		w.put(user(50), subscribed("50", "https://e.example/50"))
		w.deliverMail(user(50), 1)
		pass(time.Second)
		if len(w.pushes) != 50 {
			w.t.Fatal("a request to an origin that is known to fail")
		}
		w.set(func(w *fakeWorld) { w.answer = nil })
		pass(10 * time.Second) // a cool-down of 5 s, then 3 s
		for n := range 51 {
			if uid := w.stored(fmt.Sprint(n)); uid != 11 {
				w.t.Errorf("endpoint %d has been served up to %d", n, uid)
			}
		}
		if len(w.pushes) != 101 {
			w.t.Errorf("%d requests, want 101", len(w.pushes))
		}
	})
}

// An origin that many share is asked rarely while it fails. All the same each of its
// endpoints is told to fail, once an hour, and shows why; and to work again.
func TestEndpointsOfAnOriginThatFailsAreToldThoughNeverTried(t *testing.T) {
	t.Parallel()
	const endpoints = 1000
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(context.Context, transport.Push) transport.Result {
			return transport.Result{Class: transport.Retry, Detail: "no such host"}
		}
		var all []mailbox.User
		for n := range endpoints {
			all = append(all, user(n))
			w.put(user(n), subscribed(fmt.Sprint(n), "https://e.example/"))
			w.deliverMail(user(n), 1)
		}
		w.put(user(endpoints), subscribed("idle", "https://e.example/"))
		began := time.Now()
		pass(2 * time.Minute)
		if tried := len(w.sent()); tried > endpoints*2/3 {
			w.t.Errorf("%d endpoints were tried, the test is of those that are not", tried)
		}
		pass(3*time.Hour - 2*time.Minute)
		told := w.told(deliver.Failing)
		for n := range endpoints {
			of := told[fmt.Sprint(n)]
			if len(of) < 2 || len(of) > 4 {
				w.t.Fatalf("endpoint %d was told to fail %d times in 3 hours", n, len(of))
			}
			if of[0].Since.Sub(began) > 10*time.Minute || !strings.Contains(of[0].Reason, "no such host") {
				w.t.Errorf("endpoint %d: %+v", n, of[0])
			}
		}
		if len(told["idle"]) > 0 {
			w.t.Error("an endpoint for which there is nothing was told to fail")
		}
		statuses, err := w.loop.Status(w.t.Context(), all)
		if err != nil || len(statuses) != endpoints {
			w.t.Fatalf("%d of %d: %v", len(statuses), endpoints, err)
		}
		for _, s := range statuses {
			if s.State != pump.AwaitsOrigin && s.Failures == 0 || !strings.Contains(s.LastError, "no such host") {
				w.t.Errorf("status %+v", s)
			}
		}
		w.set(func(w *fakeWorld) { w.answer = nil })
		pass(time.Hour)
		if healthy := w.told(deliver.Healthy); len(healthy) != endpoints {
			w.t.Errorf("%d of %d were told to work again", len(healthy), endpoints)
		}
	})
}

// told is what was reported of an outcome, by subscription.
func (w *fakeWorld) told(outcome deliver.Outcome) map[string][]deliver.EndpointReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string][]deliver.EndpointReport)
	for _, report := range w.reports {
		if report.Outcome == outcome {
			out[report.Subscription] = append(out[report.Subscription], report)
		}
	}
	return out
}

// At a host that many share, little is sent to most: one endpoint that always fails has
// twenty failures with no success between.
func TestOneBrokenEndpointBreaksNoOrigin(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Subscription == "broken" {
				return transport.Result{Class: transport.Retry, Detail: "the endpoint answered 500"}
			}
			return transport.Result{}
		}
		w.put(user(1), subscribed("broken", "https://host.example/broken"))
		w.put(user(2), subscribed("well", "https://host.example/well"))
		w.deliverMail(user(1), 1)
		for len(w.sent()["broken"]) < 30 { // up to the moment of a failure
			pass(time.Second)
		}
		w.deliverMail(user(2), 1)
		pass(time.Second)
		if uid := w.stored("well"); uid != 11 {
			t.Error("the neighbour of an endpoint that fails has to wait")
		}
	})
}

func TestEndpointThatAsksForAPauseBreaksNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Subscription == "calm" {
				return transport.Result{}
			}
			return transport.Result{Class: transport.Retry, After: time.Minute}
		}
		for n := range 40 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://e.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		w.put(user(40), subscribed("calm", "https://e.example/"))
		w.deliverMail(user(40), 1)
		pass(time.Second)
		if w.stored("calm") != 11 {
			w.t.Error("the origin is held up although it works")
		}
		pushes := len(w.pushes)
		pass(50 * time.Second)
		if len(w.pushes) != pushes {
			w.t.Error("the pause was not heeded")
		}
	})
}

// What is not the endpoint's doing says nothing about its origin.
func TestVaultThatIsAwayBreaksNoOrigin(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = func(context.Context, mailbox.User, int) error { return errDown }
		for n := range 40 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://e.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(10 * time.Second)
		w.set(func(w *fakeWorld) { w.open = nil })
		w.put(user(40), subscribed("calm", "https://e.example/"))
		w.deliverMail(user(40), 1)
		synctest.Wait()
		pass(time.Second)
		if w.stored("calm") != 11 {
			w.t.Error("the origin is held up although nobody has asked it")
		}
	})
}

// Nor does it make an endpoint fail that nobody has asked; and when the vault is back, so
// is everybody within a minute.
func TestVaultThatIsAwayIsNoFailureOfEndpoints(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = func(context.Context, mailbox.User, int) error { return errDown }
		for n := range 40 {
			w.put(user(n), subscribed(fmt.Sprint(n), fmt.Sprintf("https://e%d.example/", n)))
			w.deliverMail(user(n), 1)
		}
		pass(6 * time.Hour)
		if told := w.told(deliver.Failing); len(told) > 0 {
			w.t.Errorf("%d endpoints were told to fail", len(told))
		}
		w.set(func(w *fakeWorld) { w.open = nil })
		pass(time.Minute + time.Second)
		for n := range 40 {
			if uid := w.stored(fmt.Sprint(n)); uid != 11 {
				w.t.Errorf("endpoint %d has been served up to %d", n, uid)
			}
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"math/rand/v2"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// ways are how a mail store is down.
func ways() map[string]answer {
	unavailable := func() *mailbox.Failure {
		return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "down"}
	}
	return map[string]answer{
		"refused":               {time.Millisecond, unavailable().OfStore()},
		"a black hole":          {30 * time.Second, (&mailbox.Failure{Class: mailbox.ClassTimeout, Reason: "no connection"}).OfStore()},
		"goodbye for greeting":  {time.Millisecond, unavailable().OfStore()},
		"too many, it says":     {time.Millisecond, (&mailbox.Failure{Class: mailbox.ClassLimit, Reason: "too many"}).OfStore()},
		"logins are refused":    {20 * time.Millisecond, unavailable()},
		"logins hang":           {30 * time.Second, &mailbox.Failure{Class: mailbox.ClassTimeout, Reason: "no answer to LOGIN"}},
		"logins are cut":        {20 * time.Millisecond, &mailbox.Failure{Class: mailbox.ClassLost, Reason: "lost"}},
		"the master is refused": {20 * time.Millisecond, &mailbox.Failure{Class: mailbox.ClassMasterRefused, Reason: "no"}},
	}
}

// After an outage all are back within the time that the mail store's pace takes and 30
// seconds, and meanwhile few have tried.
func TestAllAreBackSoonAfterAnOutage(t *testing.T) {
	t.Parallel()
	const n, perSecond = 300, 15
	for name, down := range ways() {
		for _, lasts := range []time.Duration{58 * time.Second, 160 * time.Second, time.Hour} {
			t.Run(name+" for "+lasts.String(), func(t *testing.T) {
				t.Parallel()
				simulate(t, machine.ByIdle, n, perSecond, func(w *world) {
					began := w.now()
					w.set(func(time.Duration, int) answer { return down })
					w.drop(all)
					w.pass(lasts)
					if tries, most := w.tries(began, w.now()), 100+int(lasts/(2*time.Second)); tries > most {
						t.Errorf("%d attempts meanwhile, want %d at most", tries, most)
					}
					w.set(sound)
					returned := w.now()
					took := w.back(n)
					if limit := n/perSecond*time.Second + 30*time.Second; took > limit {
						t.Errorf("the last one was back after %s, want %s at most", took, limit)
					}
					if crowd := w.crowd(time.Second); crowd > 3*perSecond { // one second's are saved, and pauses are drawn
						t.Errorf("%d attempts within a second", crowd)
					}
					if tries := w.tries(returned, w.now()); tries > n+n/5 {
						t.Errorf("%d attempts to open %d", tries, n)
					}
				})
			})
		}
	}
}

// A mail store that comes and goes is not asked for more than its pace, and when it stays
// all are back as soon as after one outage.
func TestAMailStoreThatFlaps(t *testing.T) {
	t.Parallel()
	const n, perSecond = 200, 20
	for name, down := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, machine.ByIdle, n, perSecond, func(w *world) {
				began := w.now()
				for range 40 {
					w.set(func(time.Duration, int) answer { return down })
					w.drop(all)
					w.pass(5 * time.Second)
					w.set(sound)
					w.pass(5 * time.Second)
				}
				if tries, most := w.tries(began, w.now()), int((w.now()-began)/time.Second*perSecond); tries > most {
					t.Errorf("%d attempts, want %d at most", tries, most)
				}
				if crowd := w.crowd(time.Second); crowd > 3*perSecond {
					t.Errorf("%d attempts within a second", crowd)
				}
				if took, limit := w.back(n), n/perSecond*time.Second+30*time.Second; took > limit {
					t.Errorf("the last one was back after %s, want %s at most", took, limit)
				}
			})
		})
	}
}

// half are half of the users.
func half(number int) bool { return number%2 == 0 }

// Where half of the users are served, the others are tried about as seldom as each alone
// would be, and are back as soon as after an outage of all.
func TestHalfOfTheUsersAreDown(t *testing.T) {
	t.Parallel()
	const n, perSecond = 300, 15
	for _, name := range []string{"logins are refused", "logins are cut", "the master is refused"} {
		down := ways()[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, machine.ByIdle, n, perSecond, func(w *world) {
				began := w.now()
				w.set(func(at time.Duration, number int) answer {
					if half(number) {
						return down
					}
					return sound(at, number)
				})
				w.drop(all)
				if took := w.back(n / 2); took > 2*n/perSecond*time.Second+30*time.Second {
					t.Errorf("the others took %s", took)
				}
				settled := w.now()
				for range 60 { // others go on coming and going
					w.pass(10 * time.Second)
					w.drop(func(number int) bool { return !half(number) && rand.IntN(n/4) == 0 })
				}
				// Alone they would double their waits up to five minutes.
				if tries, most := w.tries(settled, w.now()), n/2*12; tries > most {
					t.Errorf("%d attempts in ten minutes, want %d at most", tries, most)
				}
				if crowd := w.crowd(time.Second); crowd > 3*perSecond {
					t.Errorf("%d attempts within a second", crowd)
				}
				w.set(sound)
				from := w.now()
				for w.opened() <= n/2 { // its first answer
					w.pass(100 * time.Millisecond)
				}
				if took, limit := w.back(n), n/2/perSecond*time.Second+30*time.Second; took > limit {
					t.Errorf("the last one was back %s after the first, want %s at most", took, limit)
				}
				t.Logf("first after %s; since the beginning %s", w.now()-from, w.now()-began)
			})
		})
	}
}

// Where each connection finds a host that is up or one that is not, by chance, all are
// open after a few tries.
func TestHalfOfTheHostsAreDown(t *testing.T) {
	t.Parallel()
	const n, perSecond = 300, 30
	down := ways()["refused"]
	simulate(t, machine.ByIdle, n, perSecond, func(w *world) {
		w.set(func(at time.Duration, number int) answer {
			if rand.IntN(2) == 0 {
				return down
			}
			return sound(at, number)
		})
		w.drop(all)
		// Two tries each, and the last one may be unlucky more often than the others.
		if took, limit := w.back(n), 2*n/perSecond*time.Second+90*time.Second; took > limit {
			t.Errorf("the last one was back after %s, want %s at most", took, limit)
		}
	})
}

// What a mailbox meets alone is not tried because others are served.
func TestOneMailboxsOwnTroubleIsItsOwn(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]struct {
		failure *mailbox.Failure
		most    int // attempts in two hours
	}{
		"its folder cannot be opened":    {&mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "no such folder"}, 70},
		"opening its folder takes ages":  {&mailbox.Failure{Class: mailbox.ClassTimeout, Reason: "no answer to EXAMINE"}, 70},
		"it has too many connections":    {&mailbox.Failure{Class: mailbox.ClassLimit, Reason: "too many"}, 70},
		"doveadm has set it aside":       {(&mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "aside"}).OfMailbox(), 70},
		"its credential cannot be asked": {&mailbox.Failure{Class: mailbox.ClassCredentials, Reason: "no vault"}, 70},
		"its password is wrong":          {&mailbox.Failure{Class: mailbox.ClassRefused, Reason: "wrong"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, machine.ByIdle, 200, 100, func(w *world) {
				w.set(func(at time.Duration, number int) answer {
					if number == 7 {
						return answer{10 * time.Millisecond, own.failure}
					}
					return sound(at, number)
				})
				w.drop(func(number int) bool { return number == 7 })
				before := w.triedBy(7)
				for range 720 {
					w.pass(10 * time.Second)
					w.drop(func(int) bool { return rand.IntN(100) == 0 })
				}
				if tries := w.triedBy(7) - before; tries > own.most {
					t.Errorf("it was tried %d times in two hours, want %d at most", tries, own.most)
				}
			})
		})
	}
}

// A mailbox whose connection is lost again and again goes on waiting longer each time.
func TestAMailboxThatLosesItsConnectionIsNotHelped(t *testing.T) {
	t.Parallel()
	simulate(t, machine.ByIdle, 200, 100, func(w *world) {
		before := w.triedBy(7)
		for range 7200 {
			w.drop(func(number int) bool { return number == 7 || rand.IntN(2000) == 0 })
			w.pass(time.Second)
		}
		if tries := w.triedBy(7) - before; tries > 70 {
			t.Errorf("it was opened %d times in two hours", tries)
		}
	})
}

// Listeners that wait for hints hold no connection that could be lost: those that find the
// mail store down are back with the others.
func TestListenersThatWaitForHints(t *testing.T) {
	t.Parallel()
	const n = 200
	simulate(t, machine.ByHints, n, 50, func(w *world) {
		down := ways()["refused"]
		w.set(func(time.Duration, int) answer { return down })
		w.drop(all)
		hint := func(number int) { w.loop.Hint(numbered(number), mailbox.Hint{Folder: mailbox.Inbox, At: time.Now()}) }
		for number := range n {
			hint(number)
		}
		w.pass(10 * time.Minute)
		for _, s := range w.loop.Status(numbers(n)) {
			if s.State != mailv1.ListenerState_LISTENER_STATE_BACKOFF {
				t.Errorf("%s is %v", s.User, s.State)
			}
		}
		// Many are told of mail. It costs few attempts, for a while longer.
		from := w.now()
		for range 600 {
			hint(rand.IntN(n))
			w.pass(100 * time.Millisecond)
		}
		if tries := w.tries(from, w.now()); tries < 30 || tries > 120 {
			t.Errorf("%d attempts in a minute with hints", tries)
		}
		// The word of mail at a mail store that is back is the first to find out.
		w.pass(2 * time.Second)
		w.set(sound)
		hint(3)
		if took := w.back(n); took > 8*time.Second {
			t.Errorf("all were back %s after a hint", took)
		}
	})
}

// A hand that says so has all try that are in back-off, and nobody else.
func TestRetryByHand(t *testing.T) {
	t.Parallel()
	simulate(t, machine.ByIdle, 100, 50, func(w *world) {
		wrong := &mailbox.Failure{Class: mailbox.ClassRefused, Reason: "wrong"}
		own := &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "no such folder"}
		w.set(func(at time.Duration, number int) answer {
			switch {
			case number < 10:
				return answer{0, wrong}
			case number < 40:
				return answer{0, own}
			}
			return sound(at, number)
		})
		w.drop(func(number int) bool { return number < 40 })
		w.pass(time.Hour)
		from := w.now()
		did, err := w.loop.Retry(w.t.Context(), listen.Which{Store: "main"})
		if err != nil || did != (listen.Retried{Told: 30, Suspended: 10}) {
			t.Errorf("told %+v, %v", did, err)
		}
		w.pass(500 * time.Millisecond)
		if tries := w.tries(from, w.now()); tries < 30 || tries > 32 {
			t.Errorf("%d attempts of 30", tries)
		}
		for which, want := range map[listen.Which]listen.Retried{
			{Store: "other"}:                     {},
			{User: numbered(50)}:                 {},
			{User: numbered(1)}:                  {Suspended: 1},
			{User: numbered(11)}:                 {Told: 1},
			{User: numbered(12), Store: "other"}: {},
			{User: numbered(12), Store: "main"}:  {Told: 1},
			{User: numbered(5000)}:               {},
		} {
			if did, err := w.loop.Retry(w.t.Context(), which); err != nil || did != want {
				t.Errorf("%+v: told %+v, %v", which, did, err)
			}
		}
	})
}

// A hand can be wrong: of a mail store that is down a few find out, and the others wait on.
func TestRetryByHandOfAMailStoreThatIsDown(t *testing.T) {
	t.Parallel()
	const n = 300
	simulate(t, machine.ByIdle, n, 15, func(w *world) {
		down := ways()["refused"]
		w.set(func(time.Duration, int) answer { return down })
		w.drop(all)
		w.pass(time.Minute)
		from := w.now()
		if did, err := w.loop.Retry(w.t.Context(), listen.Which{}); err != nil || did.Told != n {
			t.Errorf("told %+v, %v", did, err)
		}
		w.pass(time.Minute)
		if tries := w.tries(from, w.now()); tries < 8 || tries > 150 {
			t.Errorf("%d attempts in the minute after", tries)
		}
		w.set(sound)
		if did, err := w.loop.Retry(w.t.Context(), listen.Which{Store: "main"}); err != nil || did.Told != n {
			t.Errorf("told %+v, %v", did, err)
		}
		if took := w.back(n); took > 22*time.Second {
			t.Errorf("all were back after %s", took)
		}
	})
}

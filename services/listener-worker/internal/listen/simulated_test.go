// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// answer is how a simulated mail store meets an attempt: after a time with a failure, or
// with none.
type answer struct {
	after   time.Duration
	failure *mailbox.Failure
}

// simulated is a mail store in simulated time.
type simulated struct {
	waits machine.Waits
	began time.Time

	mu     sync.Mutex
	answer func(at time.Duration, number int) answer
	tried  []time.Duration // when, by anybody
	by     map[int][]time.Duration
	open   map[int]*simulatedReader
}

// attempt is one that came to a mail store.
func (s *simulated) attempt(number int) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	s.tried = append(s.tried, at)
	s.by[number] = append(s.by[number], at)
	return s.answer(at, number)
}

func (s *simulated) now() time.Duration { return time.Since(s.began) }

// Open implements [listen.Source].
func (s *simulated) Open(ctx context.Context, of mailbox.Listening, _ listen.LoginFunc, notify listen.Notify) (listen.Reader, listen.Opening, error) {
	var number int
	_, _ = fmt.Sscan(of.User.ID, &number)
	meets := s.attempt(number)
	select {
	case <-time.After(meets.after):
	case <-ctx.Done():
		return nil, listen.Opening{}, &mailbox.Failure{Class: mailbox.ClassLost, Reason: "given up"}
	}
	if meets.failure != nil {
		failure := *meets.failure
		return nil, listen.Opening{Version: 1}, &failure
	}
	r := &simulatedReader{store: s, number: number, notify: notify}
	s.mu.Lock()
	s.open[number] = r
	s.mu.Unlock()
	return r, listen.Opening{End: mailbox.End{Folder: mailbox.Inbox, UIDValidity: 1, UIDNext: 1}, Waits: s.waits}, nil
}

// Baseline implements [listen.Source].
func (*simulated) Baseline(context.Context, *mailv1.MailStore, mailbox.Login) (mailbox.End, error) {
	return mailbox.End{}, nil
}

// drop ends the connections of those who are meant.
func (s *simulated) drop(meant func(number int) bool) {
	s.mu.Lock()
	var lost []*simulatedReader
	for number, r := range s.open {
		if meant(number) {
			lost = append(lost, r)
			delete(s.open, number)
		}
	}
	s.mu.Unlock()
	for _, r := range lost {
		r.notify.Lost(&mailbox.Failure{Class: mailbox.ClassLost, Reason: "mail store closed the connection"})
	}
}

// set has the mail store answer otherwise from now on.
func (s *simulated) set(answer func(at time.Duration, number int) answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *simulated) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// triedBy counts the attempts of one listener.
func (s *simulated) triedBy(number int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by[number])
}

// tries counts the attempts of a time.
func (s *simulated) tries(from, upto time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.tried {
		if at >= from && at < upto {
			n++
		}
	}
	return n
}

// crowd is the most attempts within any time of a length.
func (s *simulated) crowd(length time.Duration) (most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := 0
	for i, at := range s.tried {
		for at-s.tried[first] >= length {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

type simulatedReader struct {
	store  *simulated
	number int
	notify listen.Notify
}

func (*simulatedReader) Idle() error { return nil }

func (*simulatedReader) Check(mailbox.Look) (mailbox.Checkup, error) {
	return mailbox.Checkup{End: mailbox.End{Folder: mailbox.Inbox, UIDValidity: 1, UIDNext: 1}}, nil
}

func (*simulatedReader) Fetch(want mailbox.Range) (mailbox.Reading, error) {
	return mailbox.Reading{Upto: want.Upto}, nil
}

func (r *simulatedReader) Close() {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if r.store.open[r.number] == r && r.store.waits == machine.ByIdle {
		delete(r.store.open, r.number)
	}
}

// quiet is a sink that remembers nothing.
type quiet struct{}

func (quiet) Head(mailbox.User, mailbox.End, time.Time)               {}
func (quiet) Told(mailbox.User, mailbox.End, mailbox.Mail, time.Time) {}
func (quiet) Fetched(mailbox.Read)                                    {}
func (quiet) Suspended(mailbox.User, uint64, string)                  {}

// world is a loop with listeners of one simulated mail store, all of them well.
type world struct {
	*simulated

	t    *testing.T
	loop *listen.Loop
	n    int
}

func sound(time.Duration, int) answer { return answer{after: 50 * time.Millisecond} }

// simulate plays a story in simulated time, with n listeners at a mail store that takes
// perSecond connections a second.
func simulate(t *testing.T, waits machine.Waits, n int, perSecond uint32, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{waits: waits, began: time.Now(), answer: sound, by: make(map[int][]time.Duration), open: make(map[int]*simulatedReader)}
		w := &world{simulated: s, t: t, n: n}
		w.loop = listen.New(listen.Config{Sources: map[string]listen.Source{"simulated": s}, ReconcileAfter: 24 * time.Hour}, newFakeCredentials(), quiet{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.loop.Run(ctx) }()
		store := &mailv1.MailStore{Name: "main", Address: "main:143", Backend: "simulated", ConnectsPerSecond: perSecond}
		for i := range n {
			w.loop.Put(mailbox.Listening{User: user(fmt.Sprint(i)), Store: store, CredentialVersion: 1})
		}
		w.pass(time.Duration(n)*time.Second/time.Duration(perSecond) + 10*time.Minute)
		if got := w.opened(); got != n {
			t.Errorf("at first %d of %d are open", got, n)
		}
		story(w)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pass lets simulated time go by.
func (*world) pass(d time.Duration) { <-time.After(d) }

// all are all listeners.
func all(int) bool { return true }

// back waits until so many are open, and tells how long that took; at most an hour.
func (w *world) back(n int) time.Duration {
	w.t.Helper()
	from := w.now()
	for w.opened() < n {
		if w.pass(100 * time.Millisecond); w.now() > from+time.Hour {
			w.t.Fatalf("%d of %d are back after an hour", w.opened(), n)
		}
	}
	return w.now() - from
}

func numbered(number int) mailbox.User { return user(fmt.Sprint(number)) }

func numbers(n int) []mailbox.User {
	users := make([]mailbox.User, n)
	for number := range n {
		users[number] = numbered(number)
	}
	return users
}

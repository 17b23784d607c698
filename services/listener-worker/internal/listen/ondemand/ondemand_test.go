// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package ondemand_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/ondemand"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// source opens mailboxes that it numbers.
type source struct {
	opened  atomic.Uint32
	refuses atomic.Bool
	last    *reader
}

var errRefused = errors.New("refused")

func (s *source) Open(_ context.Context, of mailbox.Listening, _ listen.LoginFunc, _ listen.Notify) (listen.Reader, listen.Opening, error) {
	if s.refuses.Load() {
		return nil, listen.Opening{}, errRefused
	}
	s.last = &reader{closed: make(chan struct{}), reading: make(chan struct{}, 1)}
	end := mailbox.End{Folder: mailbox.Inbox, UIDValidity: 1, UIDNext: 10 * s.opened.Add(1)}
	s.last.end = end
	return s.last, listen.Opening{End: end, Version: of.CredentialVersion}, nil
}

func (*source) Baseline(context.Context, *mailv1.MailStore, mailbox.Login) (mailbox.End, error) {
	return mailbox.End{}, errRefused
}

// reader reads one of them.
type reader struct {
	end     mailbox.End
	fails   atomic.Bool
	hangs   atomic.Bool
	reading chan struct{}
	closed  chan struct{}
	once    atomic.Bool
}

func (r *reader) Check(look mailbox.Look) (mailbox.Checkup, error) {
	if look != mailbox.Reopen {
		return mailbox.Checkup{}, errors.New("an open mailbox may be looked at with what it knows of before")
	}
	r.end.UIDNext++
	return mailbox.Checkup{End: r.end}, r.outcome()
}

func (r *reader) Fetch(mailbox.Range) (mailbox.Reading, error) { return mailbox.Reading{}, r.outcome() }

func (r *reader) outcome() error {
	if r.hangs.Load() {
		r.reading <- struct{}{}
		<-r.closed
	}
	if r.fails.Load() || r.isClosed() {
		return errRefused
	}
	return nil
}

func (r *reader) Close() {
	if r.once.CompareAndSwap(false, true) {
		close(r.closed)
	}
}

func (r *reader) isClosed() bool { return r.once.Load() }

func listening(version uint64) mailbox.Listening {
	return mailbox.Listening{User: mailbox.User{Context: "1", ID: "249"}, Store: &mailv1.MailStore{Name: "main"}, CredentialVersion: version}
}

func open(t *testing.T, pool *ondemand.Pool, of mailbox.Listening) (*ondemand.Reader, listen.Opening) {
	t.Helper()
	reader, opening, err := pool.Open(t.Context(), of, nil)
	if err != nil {
		t.Fatal(err)
	}
	return reader, opening
}

// A mailbox that is opened again soon is the one that is open, and tells its end anew.
func TestAnOpenMailboxIsLentAgain(t *testing.T) {
	t.Parallel()
	var s source
	pool := ondemand.New(&s, time.Hour)
	defer pool.Close()
	first, opening := open(t, pool, listening(3))
	if opening.End.UIDNext != 10 {
		t.Errorf("it ends at %d", opening.End.UIDNext)
	}
	first.Close()
	first.Close() // once more has no effect
	second, opening := open(t, pool, listening(2))
	if opening.End.UIDNext != 11 || opening.Version != 3 || s.opened.Load() != 1 {
		t.Errorf("%d were opened, the second ends at %d with version %d", s.opened.Load(), opening.End.UIDNext, opening.Version)
	}
	first.Close() // is not the second's
	third, _ := open(t, pool, listening(3))
	if s.opened.Load() != 2 {
		t.Error("one mailbox is in the hands of two")
	}
	second.Close()
	third.Close()
}

// What is not lent again is closed.
func TestNotLentAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before func(pool *ondemand.Pool, reader *ondemand.Reader, of *reader)
		next   mailbox.Listening
	}{
		"a newer credential":   {next: listening(2)},
		"another mail store":   {next: func() mailbox.Listening { l := listening(1); l.Store = &mailv1.MailStore{Name: "other"}; return l }()},
		"it is of no more use": {before: func(_ *ondemand.Pool, _ *ondemand.Reader, of *reader) { of.fails.Store(true) }, next: listening(1)},
		"an operation failed": {before: func(_ *ondemand.Pool, reader *ondemand.Reader, of *reader) {
			of.fails.Store(true)
			_, _ = reader.Fetch(mailbox.Range{})
			of.fails.Store(false)
		}, next: listening(1)},
		"discarded": {before: func(_ *ondemand.Pool, reader *ondemand.Reader, _ *reader) { reader.Discard() }, next: listening(1)},
		"aborted":   {before: func(_ *ondemand.Pool, reader *ondemand.Reader, _ *reader) { reader.Abort() }, next: listening(1)},
		"forgotten": {before: func(pool *ondemand.Pool, _ *ondemand.Reader, _ *reader) { pool.Forget(listening(1).User) }, next: listening(1)},
		"an operation is in flight": {before: func(_ *ondemand.Pool, reader *ondemand.Reader, of *reader) {
			of.hangs.Store(true)
			go func() { _, _ = reader.Check(mailbox.Ask) }()
			<-of.reading
		}, next: listening(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s source
			pool := ondemand.New(&s, time.Hour)
			defer pool.Close()
			reader, _ := open(t, pool, listening(1))
			of := s.last
			if test.before != nil {
				test.before(pool, reader, of)
			}
			reader.Close()
			next, _ := open(t, pool, test.next)
			if !of.isClosed() || s.opened.Load() != 2 {
				t.Errorf("closed: %t, opened: %d", of.isClosed(), s.opened.Load())
			}
			next.Close()
		})
	}
}

// Nobody comes for a mailbox: it is closed in the end, also by Forget and by Close.
func TestItIsNotKeptForEver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*ondemand.Pool){
		"time":   func(*ondemand.Pool) {},
		"forget": func(pool *ondemand.Pool) { pool.Forget(listening(1).User) },
		"close":  (*ondemand.Pool).Close,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := time.Hour
			if name == "time" {
				kept = time.Millisecond
			}
			var s source
			pool := ondemand.New(&s, kept)
			defer pool.Close()
			reader, _ := open(t, pool, listening(1))
			reader.Close()
			end(pool)
			<-s.last.closed
			s.refuses.Store(true)
			if _, _, err := pool.Open(t.Context(), listening(1), nil); !errors.Is(err, errRefused) {
				t.Errorf("a closed mailbox was lent: %v", err)
			}
		})
	}
}

// A mailbox that is given back after the end is closed, too.
func TestGivenBackAfterClose(t *testing.T) {
	t.Parallel()
	var s source
	pool := ondemand.New(&s, time.Hour)
	reader, _ := open(t, pool, listening(1))
	pool.Close()
	if s.last.isClosed() {
		t.Error("it was closed in the hands of a listener")
	}
	reader.Close()
	<-s.last.closed
}

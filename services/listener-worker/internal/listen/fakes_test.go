// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

type head struct {
	user    mailbox.User
	end     mailbox.End
	noticed time.Time
	told    *mailbox.Mail
}

type suspension struct {
	user    mailbox.User
	version uint64
	reason  string
}

// fakeSink hands on what the loop reports, without ever blocking it.
type fakeSink struct {
	heads     chan head
	batches   chan mailbox.Read
	suspended chan suspension
}

func newFakeSink() *fakeSink {
	return &fakeSink{
		heads: make(chan head, 1000), batches: make(chan mailbox.Read, 1000), suspended: make(chan suspension, 1000),
	}
}

func (s *fakeSink) Head(u mailbox.User, b mailbox.End, noticed time.Time) {
	s.heads <- head{u, b, noticed, nil}
}
func (s *fakeSink) Told(u mailbox.User, b mailbox.End, mail mailbox.Mail, noticed time.Time) {
	s.heads <- head{u, b, noticed, &mail}
}
func (s *fakeSink) Fetched(b mailbox.Read) { s.batches <- b }
func (s *fakeSink) Suspended(u mailbox.User, version uint64, reason string) {
	s.suspended <- suspension{u, version, reason}
}

// fakeCredentials is a vault in a map.
type fakeCredentials struct {
	mu     sync.Mutex
	logins map[mailbox.User]mailbox.Login
	err    error
	asked  map[mailbox.User]int
}

func newFakeCredentials() *fakeCredentials {
	return &fakeCredentials{logins: make(map[mailbox.User]mailbox.Login), asked: make(map[mailbox.User]int)}
}

func (c *fakeCredentials) set(u mailbox.User, name, password string, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins[u] = mailbox.Login{Username: name, Password: secret.New(password), Version: version}
}

// setMaster has the mailbox opened by a master user.
func (c *fakeCredentials) setMaster(u mailbox.User, owner, name, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins[u] = mailbox.Login{AuthorizationID: owner, Username: name, Password: secret.New(password), Version: 1}
}

func (c *fakeCredentials) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *fakeCredentials) Login(_ context.Context, u mailbox.User, _ uint32) (mailbox.Login, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[u]++
	if c.err != nil {
		return mailbox.Login{}, c.err
	}
	login, ok := c.logins[u]
	if !ok {
		return mailbox.Login{}, fault.New(fault.NotFound, "no credential for %s@%s", u.ID, u.Context)
	}
	return login, nil
}

// rig is a running loop with its fakes.
type rig struct {
	loop  *listen.Loop
	creds *fakeCredentials
	sink  *fakeSink
}

// quick are times for tests: as short as they can be without changing what is tested.
func quick() machine.Settings {
	return machine.Settings{
		Settle: 50 * time.Millisecond, MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		PollInterval: 50 * time.Millisecond,
	}
}

func start(t *testing.T, tuning machine.Settings) *rig {
	t.Helper()
	return startWith(t, tuning, map[string]listen.Source{imap.Name: imap.New(imap.Config{})})
}

func startWith(t *testing.T, tuning machine.Settings, sources map[string]listen.Source) *rig {
	t.Helper()
	r := &rig{creds: newFakeCredentials(), sink: newFakeSink()}
	r.loop = listen.New(listen.Config{Sources: sources, Tuning: tuning}, r.creds, r.sink)
	r.run(t)
	return r
}

// run runs the loop as long as the test.
func (r *rig) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func plainStore(address string) *mailv1.MailStore {
	return &mailv1.MailStore{
		Name: "test", Address: address, TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, Backend: "imapidle",
		ResponseTimeout: durationpb.New(10 * time.Second),
	}
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	return receiveThat(t, what, from, func(T) bool { return true })
}

// receiveThat takes what comes until it is what is waited for. Whatever else comes gives it
// no more time.
func receiveThat[T any](t *testing.T, what string, from <-chan T, is func(T) bool) T {
	t.Helper()
	giveUp := time.After(patience)
	for {
		select {
		case v := <-from:
			if is(v) {
				return v
			}
		case <-giveUp:
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}

// receiveEnd waits for the end of a user's folder that has the UIDNEXT given.
func (r *rig) receiveEnd(t *testing.T, u mailbox.User, uidNext uint32) head {
	t.Helper()
	return receiveThat(t, fmt.Sprintf("end of %s's folder at %d", u.ID, uidNext), r.sink.heads,
		func(h head) bool { return h.user == u && h.end.UIDNext == uidNext })
}

// until waits for a condition that no channel tells of.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-giveUp:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func (r *rig) status(u mailbox.User) listen.Status {
	if all := r.loop.Status([]mailbox.User{u}); len(all) == 1 {
		return all[0]
	}
	return listen.Status{}
}

func (r *rig) untilState(t *testing.T, u mailbox.User, state mailv1.ListenerState) listen.Status {
	t.Helper()
	until(t, "state "+state.String(), func() bool { return r.status(u).State == state })
	return r.status(u)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/admin-api/internal/registry"
)

// slowShards takes its time to group, and may fail.
type slowShards struct {
	*fakeShards

	mu    sync.Mutex
	takes time.Duration
	err   error
	asked int
}

func (s *slowShards) set(takes time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.err = takes, err
}

func (s *slowShards) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *slowShards) Groups(ctx context.Context, shards uint32, allow func(string) bool) ([]registry.Group, error) {
	s.mu.Lock()
	s.asked++
	takes, err := s.takes, s.err
	s.mu.Unlock()
	<-time.After(takes) // simulated
	if err != nil {
		return nil, err
	}
	return s.fakeShards.Groups(ctx, shards, allow)
}

func TestCensusCountsUsersByTheFirstNo(t *testing.T) {
	t.Parallel()
	elsewhere := box(registry.CredentialStored, "mobile")
	elsewhere.Store = "gone"
	disabled := box(registry.CredentialSuspended, "mobile") // the first no counts
	disabled.Enabled = false
	f := &fakeShards{}
	for users, b := range map[uint32]registry.Mailbox{
		1: box(registry.CredentialStored, "mobile"), 2: box(registry.CredentialSuspended, "mobile"), 4: box(registry.CredentialStored, "web"),
		8: elsewhere, 16: disabled, 32: box(registry.CredentialStored), 64: box(registry.CredentialNone, "mobile"),
	} {
		f.groups = append(f.groups, registry.Group{Like: b.User, Users: users}, registry.Group{Like: b.User, Users: users})
	}
	got, err := newShards(f).Census(t.Context())
	want := Census{Permanent: 2, Refused: map[string]uint64{
		"credential": 4, "client": 8, "mail store": 16, "user": 32, "registration": 64, "login": 128,
		"permanent push": 0, "backend": 0,
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestCensusGoesOnWithoutTheDatabaseAndSparesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &slowShards{fakeShards: &fakeShards{groups: []registry.Group{{Like: box(registry.CredentialStored, "mobile").User, Users: 3}}}}
		shards := newShards(f.fakeShards)
		shards.Mailboxes = f
		var logged bytes.Buffer
		told := 0
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			shards.KeepCensus(ctx, slog.New(slog.NewTextHandler(&logged, nil)), func(c Census) {
				if told++; c.Permanent != 3 {
					t.Errorf("counted %d", c.Permanent)
				}
			})
		}()
		pass := func(d time.Duration) {
			<-time.After(d) // simulated
			synctest.Wait()
		}
		pass(time.Second)
		f.set(0, errors.New("the database is away"))
		pass(5 * time.Minute)
		if lines := strings.Count(logged.String(), "could not be counted"); told != 1 || lines != 1 {
			t.Errorf("told %d times, logged %d times", told, lines)
		}
		f.set(3*time.Second, nil)
		pass(time.Minute)
		before := f.times()
		pass(10 * time.Minute)
		if times := f.times() - before; told < 2 || times > 5 {
			t.Errorf("told %d times; asked %d times in 10 minutes, 3 seconds each", told, times)
		}
		cancel()
		<-ended
	})
}

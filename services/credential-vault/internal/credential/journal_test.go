// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package credential_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/credential-vault/internal/credential"
)

// gatedAudit stores a group once it is let through, and counts. A group that its
// context ends is not stored.
type gatedAudit struct {
	fakeAudit
	gate   chan struct{} // closed: open for all
	groups []int         // how many entries each transaction stored
}

func (g *gatedAudit) Write(ctx context.Context, entries []credential.Entry) error {
	select {
	case <-g.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	g.mu.Lock()
	g.groups = append(g.groups, len(entries))
	g.mu.Unlock()
	return g.fakeAudit.Write(ctx, entries)
}

// counter is a vault on a gated audit, in simulated time.
type counter struct {
	audit *gatedAudit
	vault *credential.Vault
	stop  func()
}

// atCounter runs a test in front of a vault that holds one credential.
func atCounter(t *testing.T, test func(t *testing.T, c *counter)) {
	t.Helper()
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		c := &counter{audit: &gatedAudit{gate: make(chan struct{})}}
		c.vault = credential.New(b.ring, b.records, c.audit, everything(), slog.New(slog.DiscardHandler))
		c.stop = run(t, c.vault)
		if _, err := sealOne(t, c.vault, owner(), password(), 0); err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

// open opens n times at once and waits until nothing moves any more.
func (c *counter) open(ctx context.Context, n int) <-chan error {
	answers := make(chan error, n)
	for range n {
		go func() {
			opened, err := c.vault.Open(ctx, owner(), purpose())
			if (opened == nil) != (err != nil) {
				err = errors.New("a credential and an error, or neither")
			}
			answers <- err
		}()
	}
	synctest.Wait()
	return answers
}

// check takes the n answers: all opened, or all refused as unavailable because of want.
func check(t *testing.T, answers <-chan error, n int, want error) {
	t.Helper()
	for range n {
		if err := <-answers; !errors.Is(err, want) || want != nil && fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func (c *counter) checkGroups(t *testing.T, want ...int) {
	t.Helper()
	if diff := cmp.Diff(want, c.audit.groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestOpeningsAtOnceShareTransactions(t *testing.T) {
	t.Parallel()
	atCounter(t, func(t *testing.T, c *counter) {
		first, others := c.open(t.Context(), 1), c.open(t.Context(), 1199)
		if len(first)+len(others) > 0 {
			t.Error("something opened before it was audited")
		}
		close(c.audit.gate)
		check(t, first, 1, nil)
		check(t, others, 1199, nil)
		c.checkGroups(t, 1, 500, 500, 199)
		if len(c.audit.entries) != 1200 {
			t.Errorf("%d entries", len(c.audit.entries))
		}
	})
}

func TestOneOpeningWaitsForNobody(t *testing.T) {
	t.Parallel()
	atCounter(t, func(t *testing.T, c *counter) {
		close(c.audit.gate)
		began := time.Now()
		for range 3 {
			check(t, c.open(t.Context(), 1), 1, nil)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %v", waited)
		}
		c.checkGroups(t, 1, 1, 1)
	})
}

func TestCallerThatGivesUpTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	atCounter(t, func(t *testing.T, c *counter) {
		ctx, giveUp := context.WithCancel(t.Context())
		stored := c.open(ctx, 1)
		queued := c.open(ctx, 1)
		others := c.open(t.Context(), 5)
		giveUp()
		check(t, stored, 1, context.Canceled)
		check(t, queued, 1, context.Canceled)
		close(c.audit.gate)
		check(t, others, 5, nil)
		c.checkGroups(t, 1, 5) // the first was on its way already
	})
}

func TestGroupThatIsNotStoredOpensNothing(t *testing.T) {
	t.Parallel()
	atCounter(t, func(t *testing.T, c *counter) {
		full := errors.New("disk full")
		c.audit.refuse(full)
		answers := c.open(t.Context(), 10)
		close(c.audit.gate)
		check(t, answers, 10, full)
		c.audit.refuse(nil)
		check(t, c.open(t.Context(), 10), 10, nil)
	})
}

func TestStoreThatHangsIsGivenUpAndTriedAgain(t *testing.T) {
	t.Parallel()
	atCounter(t, func(t *testing.T, c *counter) {
		began := time.Now()
		check(t, c.open(t.Context(), 1), 1, context.DeadlineExceeded)
		if waited := time.Since(began); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
		close(c.audit.gate)
		check(t, c.open(t.Context(), 1), 1, nil)
	})
}

func TestNothingOpensAfterTheEnd(t *testing.T) {
	t.Parallel()
	atCounter(t, func(t *testing.T, c *counter) {
		stored, queued := c.open(t.Context(), 1), c.open(t.Context(), 3)
		c.stop()
		check(t, stored, 1, context.Canceled)
		for range 3 {
			if err := <-queued; fault.KindOf(err) != fault.Unavailable {
				t.Errorf("got %v", err)
			}
		}
		if err := <-c.open(t.Context(), 1); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v", err)
		}
		c.checkGroups(t)
	})
}

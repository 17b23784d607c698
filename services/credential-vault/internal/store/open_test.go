// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
)

// crowd lets the first audit wait until all callers have read their credential.
type crowd struct {
	*SQL
	reading sync.WaitGroup
}

func (c *crowd) Get(ctx context.Context, owner seal.Owner) (credential.Record, error) {
	defer c.reading.Done()
	return c.SQL.Get(ctx, owner)
}

func (c *crowd) Write(ctx context.Context, entries []credential.Entry) error {
	c.reading.Wait()
	return c.SQL.Write(ctx, entries)
}

// inserts counts the statements that insert. Nothing here wraps several in a
// transaction, so they are the transactions of the audit.
func inserts(tb testing.TB, s *SQL) *atomic.Int64 {
	tb.Helper()
	count := new(atomic.Int64)
	err := s.db.Callback().Create().After("gorm:create").Register("count", func(*gorm.DB) { count.Add(1) })
	if err != nil {
		tb.Fatal(err)
	}
	return count
}

// running is a vault on the stores that holds one credential.
func running(tb testing.TB, records credential.Records, keys credential.Keys, audit credential.Audit) *credential.Vault {
	tb.Helper()
	cost := seal.Cost{MemoryKiB: 16, Passes: 1, Lanes: 1}
	ring, err := credential.Unlock(tb.Context(), keys, secret.New("pass"), cost)
	if err != nil {
		tb.Fatal(err)
	}
	v := credential.New(ring, records, audit, credential.Rules{StorePasswords: true}, quiet())
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	_, err = v.Seal(tb.Context(), []credential.Sealing{{Owner: owner("a", "mail"), Credential: &vaultv1.Credential{
		Kind: &vaultv1.Credential_Password{Password: &vaultv1.Password{Login: "alice", Password: "hunter22"}},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func purpose() credential.Purpose {
	return credential.Purpose{Caller: "listener-worker", Reason: "login"}
}

func TestEachOpeningHasARowAndFewATransaction(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		const n = 200
		s := openSQL(t, dsn)
		c := &crowd{SQL: s}
		c.reading.Add(n)
		v := running(t, c, s, c)
		transactions := inserts(t, s)
		var callers errgroup.Group
		for range n {
			callers.Go(func() error {
				_, err := v.Open(t.Context(), owner("a", "mail"), purpose())
				return err
			})
		}
		if err := callers.Wait(); err != nil {
			t.Fatal(err)
		}
		var rows int64
		if err := s.db.Model(&auditRow{}).Count(&rows).Error; err != nil {
			t.Fatal(err)
		}
		if rows != n || transactions.Load() > n/4 {
			t.Errorf("%d rows in %d transactions after %d openings", rows, transactions.Load(), n)
		}
	})
}

func TestFullGroupIsOneStatement(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		s := openSQL(t, dsn)
		transactions := inserts(t, s)
		entry := credential.Entry{At: time.Now(), Owner: owner("a", "mail"), Purpose: purpose(), Version: 7, Outcome: "opened"}
		entries := make([]credential.Entry, 500)
		for i := range entries {
			entries[i] = entry
		}
		if err := s.Write(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		if transactions.Load() != 1 {
			t.Errorf("%d statements", transactions.Load())
		}
	})
}

// BenchmarkOpenParallel opens credentials on a SQLite file, by one caller and by as many
// at once as a worker that takes over.
func BenchmarkOpenParallel(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s, err := OpenSQL(b.Context(), secret.New("sqlite://"+filepath.Join(b.TempDir(), "vault.db")), quiet())
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
			v := running(b, s, s, s)
			transactions := inserts(b, s)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var group errgroup.Group
			for range callers {
				group.Go(func() error {
					for left.Add(-1) >= 0 {
						if _, err := v.Open(b.Context(), owner("a", "mail"), purpose()); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/float64(transactions.Load()), "opens/transaction")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "opens/s")
		})
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
)

func TestMain(m *testing.M) { sqltest.Main(m) }

// store is what both implementations do.
type store interface {
	credential.Keys
	credential.Records
	credential.Audit
	io.Closer
	Ping(ctx context.Context) error
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// each runs body on every store. A second call of open gives a second replica of the
// same database; there is but one memory.
func each(t *testing.T, body func(t *testing.T, open func() store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		m := NewMemory(quiet())
		body(t, func() store { return m })
	})
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		body(t, func() store { return openSQL(t, dsn) })
	})
}

func openSQL(t *testing.T, dsn secret.String) *SQL {
	t.Helper()
	s, err := OpenSQL(t.Context(), dsn, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func owner(user, account string) seal.Owner {
	return seal.Owner{Context: "1", User: user, Account: account}
}

func putOne(t *testing.T, s store, o seal.Owner, box string, at time.Time) uint64 {
	t.Helper()
	versions, err := s.Put(t.Context(), []credential.Put{{Owner: o, Sealed: seal.Sealed{Key: 1, Box: []byte(box)}, At: at}})
	if err != nil {
		t.Fatal(err)
	}
	return versions[0]
}

func get(t *testing.T, s store, o seal.Owner) credential.Record {
	t.Helper()
	record, err := s.Get(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestPutReplacesAndGetReturns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() store) {
		s, at := open(), time.Now()
		first := putOne(t, s, owner("a", "mail"), "first", at)
		putOne(t, s, owner("A", "mail"), "another user", at)
		putOne(t, s, owner("a", "webhook/1"), "another account", at)
		later := at.Add(time.Second)
		second := putOne(t, s, owner("a", "mail"), "\x00\xff second", later)
		want := credential.Record{
			Sealed:   seal.Sealed{Key: 1, Box: []byte("\x00\xff second")},
			Version:  second,
			SealedAt: later.UTC().Truncate(time.Millisecond),
		}
		if diff := cmp.Diff(want, get(t, s, owner("a", "mail"))); diff != "" {
			t.Error(diff)
		}
		if second <= first {
			t.Errorf("version %d follows %d", second, first)
		}
		if diff := cmp.Diff(credential.Record{}, get(t, s, owner("b", "mail"))); diff != "" {
			t.Errorf("there is none: %s", diff)
		}
	})
}

func TestVersionGrows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() store) {
		s, o, now := open(), owner("a", "mail"), time.Now()
		last := putOne(t, s, o, "x", now)
		for name, at := range map[string]time.Time{"the same moment": now, "a clock set back": now.Add(-time.Hour)} {
			if next := putOne(t, s, o, "x", at); next <= last {
				t.Errorf("%s: %d follows %d", name, next, last)
			} else {
				last = next
			}
		}
		if _, err := s.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if next := putOne(t, s, o, "x", now.Add(time.Millisecond)); next <= last {
			t.Errorf("after a deletion: %d follows %d", next, last)
		}
	})
}

// Each replica stores many at once, in an order of its own: none waits for another for
// ever, and no version is given twice.
func TestReplicasWriteAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() store) {
		const times, owners = 5, 211 // a prime, so that each order has all of them; more than two statements take
		now, versions := time.Now(), make([][]uint64, 4)
		var replicas errgroup.Group
		for i := range versions {
			s := open()
			list := make([]credential.Put, owners)
			for o := range list {
				user := fmt.Sprint((o*(2*i+1) + i) % owners)
				list[o] = credential.Put{Owner: owner(user, "mail"), Sealed: seal.Sealed{Key: 1, Box: []byte(user)}, At: now}
			}
			replicas.Go(func() error {
				for range times {
					written, err := s.Put(t.Context(), list)
					for fault.KindOf(err) == fault.Unavailable { // on a busy machine SQLite may be locked for long
						written, err = s.Put(t.Context(), list)
					}
					if err != nil {
						return err
					}
					at := slices.IndexFunc(list, func(p credential.Put) bool { return p.Owner.User == "7" })
					versions[i] = append(versions[i], written[at])
				}
				return nil
			})
		}
		if err := replicas.Wait(); err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(versions...)
		slices.Sort(all)
		if len(slices.Compact(all)) != len(versions)*times {
			t.Error("a version was given twice")
		}
		got := get(t, open(), owner("7", "mail"))
		if got.Version != all[len(all)-1] || string(got.Sealed.Box) != "7" {
			t.Errorf("stored version %d of %q, the last one given was %d", got.Version, got.Sealed.Box, all[len(all)-1])
		}
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() store) {
		s, now := open(), time.Now()
		for _, o := range []seal.Owner{owner("a", "mail"), owner("a", "webhook/1"), owner("a", "webhook/2"), owner("b", "mail")} {
			putOne(t, s, o, "x", now)
		}
		for _, step := range []struct {
			owner seal.Owner
			want  int
		}{
			{owner("a", "mail"), 1},
			{owner("a", "mail"), 0},
			{owner("a", ""), 2},
			{owner("nobody", ""), 0},
		} {
			got, err := s.Delete(t.Context(), step.owner)
			if err != nil || got != step.want {
				t.Errorf("deleting %v: got %d, %v, want %d", step.owner, got, err, step.want)
			}
		}
		if get(t, s, owner("b", "mail")).Version == 0 {
			t.Error("another user's credential has gone too")
		}
	})
}

func TestReplicasThatStartTogetherShareOneKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() store) {
		rings := make([]*seal.Keyring, 4)
		var replicas errgroup.Group
		for i := range rings {
			s := open()
			replicas.Go(func() (err error) {
				cost := seal.Cost{MemoryKiB: 16, Passes: 1, Lanes: 1}
				rings[i], err = credential.Unlock(t.Context(), s, secret.New("pass"), cost)
				return err
			})
		}
		if err := replicas.Wait(); err != nil {
			t.Fatal(err)
		}
		sealed := rings[0].Seal(owner("a", "mail"), []byte("text"))
		for _, ring := range rings {
			if _, err := ring.Open(owner("a", "mail"), sealed); err != nil {
				t.Error(err)
			}
		}
		if _, err := credential.Unlock(t.Context(), open(), secret.New("word"), seal.DefaultCost()); !errors.Is(err, seal.ErrPassphrase) {
			t.Errorf("another passphrase: %v", err)
		}
	})
}

// An emptied key table, as after a restore of half the tables: no replica may make a key, for
// what is sealed would be lost for good.
func TestEmptiedKeysBesideCredentialsRefuse(t *testing.T) {
	t.Parallel()
	cost := seal.Cost{MemoryKiB: 16, Passes: 1, Lanes: 1}
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		s := openSQL(t, dsn)
		ring, err := credential.Unlock(t.Context(), s, secret.New("pass"), cost)
		if err != nil {
			t.Fatal(err)
		}
		sealed, o := ring.Seal(owner("a", "mail"), []byte("text")), owner("a", "mail")
		if _, err := s.Put(t.Context(), []credential.Put{{Owner: o, Sealed: sealed, At: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		var kept []keyRow
		if err := errors.Join(s.db.Find(&kept).Error, s.db.Where("id > 0").Delete(&keyRow{}).Error); err != nil || len(kept) != 1 {
			t.Fatalf("%d keys, %v", len(kept), err)
		}
		for range 2 {
			_, err := credential.Unlock(t.Context(), openSQL(t, dsn), secret.New("pass"), cost)
			if !errors.Is(err, credential.ErrKeysLost) || fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "docs/backup.md") {
				t.Errorf("without its keys: %v", err)
			}
			if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 0 {
				t.Errorf("it has made %d keys: %v", len(keys), err)
			}
		}
		if err := s.db.Create(&kept).Error; err != nil {
			t.Fatal(err)
		}
		again, err := credential.Unlock(t.Context(), openSQL(t, dsn), secret.New("pass"), cost)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := again.Open(o, get(t, s, o).Sealed); err != nil || string(text) != "text" {
			t.Errorf("with its keys again: %q, %v", text, err)
		}
	})
}

// late is a replica whose key is stored, and that has sealed, between two looks of another
// one that starts.
type late struct {
	store

	between func() // runs once, after the first look
}

func (l *late) AnySealed(ctx context.Context) (bool, error) {
	sealed, err := l.store.AnySealed(ctx)
	l.between()
	return sealed, err
}

func (l *late) Keys(ctx context.Context) ([]seal.WrappedKey, error) {
	keys, err := l.store.Keys(ctx)
	l.between()
	return keys, err
}

// A replica that has just made the first key and sealed with it is not taken for a database
// whose keys are lost, whatever another one has seen before.
func TestReplicaThatStartsBesideTheFirstSealIsNotRefused(t *testing.T) {
	t.Parallel()
	cost := seal.Cost{MemoryKiB: 16, Passes: 1, Lanes: 1}
	each(t, func(t *testing.T, open func() store) {
		first, o := open(), owner("a", "mail")
		second := &late{store: open(), between: sync.OnceFunc(func() {
			ring, err := credential.Unlock(t.Context(), first, secret.New("pass"), cost)
			if err != nil {
				t.Error(err)
				return
			}
			put := credential.Put{Owner: o, Sealed: ring.Seal(o, []byte("text")), At: time.Now()}
			if _, err := first.Put(t.Context(), []credential.Put{put}); err != nil {
				t.Error(err)
			}
		})}
		ring, err := credential.Unlock(t.Context(), second, secret.New("pass"), cost)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := ring.Open(o, get(t, first, o).Sealed); err != nil || string(text) != "text" {
			t.Errorf("what the first has sealed: %q, %v", text, err)
		}
	})
}

func TestAuditIsKeptForAWhile(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		s, now := openSQL(t, dsn), time.Now()
		var entries []credential.Entry
		for _, age := range []time.Duration{credential.AuditLife + time.Hour, time.Hour, 0} {
			entries = append(entries, credential.Entry{
				At:      now.Add(-age),
				Owner:   owner("a", "mail"),
				Purpose: credential.Purpose{Caller: "listener-worker", Reason: "login"},
				Version: 7,
				Outcome: "opened",
			})
		}
		if err := s.Write(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		if err := s.Prune(t.Context(), now.Add(-credential.AuditLife)); err != nil {
			t.Fatal(err)
		}
		var rows []auditRow
		if err := s.db.Order("at").Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		if len(rows) != 2 {
			t.Fatalf("kept %d", len(rows))
		}
		rows[1].ID = 0
		want := auditRow{
			At: now.UnixMilli(), Caller: "listener-worker", Reason: "login",
			ContextID: "1", UserID: "a", Account: "mail", Version: 7, Outcome: "opened",
		}
		if diff := cmp.Diff(want, rows[1]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSecondOpenFindsEverything(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		first, err := OpenSQL(t.Context(), dsn, quiet())
		if err != nil {
			t.Fatal(err)
		}
		version := putOne(t, first, owner("a", "mail"), "x", time.Now())
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := first.Ping(t.Context()); err == nil {
			t.Error("a closed store says it is well")
		}
		if got := get(t, openSQL(t, dsn), owner("a", "mail")); got.Version != version {
			t.Errorf("got %+v, want version %d", got, version)
		}
	})
}

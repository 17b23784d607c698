// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/pkg/sqltest"
)

func TestMain(m *testing.M) { sqltest.Main(m) }

// password has what URLs and messages trip over.
const password = "s3cr/t #50%&x"

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t *testing.T, dsn secret.String, log *slog.Logger) *gorm.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sqldb.Close(db); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestBadAddressIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	const encoded = "s3cr%2Ft%20%2350%25&x"
	closed := closedPort(t)
	tests := map[string]struct{ dsn, want string }{
		"empty":                  {"", "starts with"},
		"unknown scheme":         {"oracle://me:" + encoded + "@db/x", "starts with"},
		"no scheme":              {"me:" + password + "@db/x", "starts with"},
		"password not encoded":   {"postgres://me:" + password + "@db/x", "written as %XX"},
		"mysql not encoded":      {"mysql://me:" + password + "@db/x", "written as %XX"},
		"no database":            {"postgres://me:" + encoded + "@db", "looks like postgres://"},
		"two names":              {"mysql://me:" + encoded + "@db/x/y", "looks like mysql://"},
		"opaque":                 {"mysql:me:" + encoded, "looks like mysql://"},
		"bad libpq parameter":    {"postgres://me:" + encoded + "@db/x?sslmode=perhaps", "sslmode"},
		"unknown parameter":      {"mysql://me:" + encoded + "@db/x?multiStatements=true", "parameter tls only"},
		"bad tls":                {"mysql://me:" + encoded + "@db/x?tls=perhaps", "true, false"},
		"postgres not there":     {"postgres://me:" + encoded + "@" + closed + "/x", "refused"},
		"mysql not there":        {"mysql://me:" + encoded + "@" + closed + "/x", "refused"},
		"sqlite without a path":  {"sqlite:", "looks like sqlite:///"},
		"sqlite with a host":     {"sqlite://var/x.db", "looks like sqlite:///"},
		"sqlite with parameters": {"sqlite:///x.db?mode=ro", "no parameters"},
		"sqlite, no directory":   {"sqlite:///nowhere/at/all.db", "no such file or directory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sqldb.Open(t.Context(), secret.New(tt.dsn), quiet())
			if err == nil {
				_ = sqldb.Close(db)
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to say %q", err, tt.want)
			}
			checkHidden(t, err.Error(), password)
		})
	}
}

// checkHidden looks for the secret in text, and for the tell-tale start of it.
func checkHidden(t *testing.T, text, secret string) {
	t.Helper()
	for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(secret), secret[:4]} {
		if strings.Contains(text, form) {
			t.Errorf("%q shows %q", text, form)
		}
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServerRefusesAWrongPasswordWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		u, err := url.Parse(dsn.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if u.User == nil {
			return // SQLite has no users
		}
		u.User = url.UserPassword(u.User.Username(), password)
		db, err := sqldb.Open(t.Context(), secret.New(u.String()), quiet())
		if err == nil {
			_ = sqldb.Close(db)
			t.Fatal("it opened")
		}
		for _, want := range []string{"connecting to", u.Host, u.User.Username()} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		checkHidden(t, err.Error(), password)
	})
}

func TestSQLiteIsDurableAndPrivate(t *testing.T) {
	t.Parallel()
	// The name holds what a URI gives a meaning to.
	path := filepath.Join(t.TempDir(), "a %41#b.db")
	db := open(t, secret.New("sqlite://"+path), quiet())
	got := map[string]string{}
	for _, pragma := range []string{"journal_mode", "synchronous", "foreign_keys", "busy_timeout"} {
		var value string
		if err := db.Raw("PRAGMA " + pragma).Scan(&value).Error; err != nil {
			t.Fatal(err)
		}
		got[pragma] = value
	}
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := db.Exec("CREATE TABLE x (y integer)").Error; err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}

func TestSQLiteInMemoryIsOneDatabase(t *testing.T) {
	t.Parallel()
	db := open(t, secret.New("sqlite::memory:"), quiet())
	for _, statement := range []string{"CREATE TABLE x (y integer)", "INSERT INTO x VALUES (1)"} {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
}

// A reader sees what is committed, and a transaction that writes holds it up on no engine,
// nor is held up by it.
func TestReadersAndWritersDoNotWait(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		db := open(t, dsn, quiet())
		if err := db.AutoMigrate(&named{}); err != nil {
			t.Fatal(err)
		}
		reader, err := sqldb.OpenReader(t.Context(), dsn, db)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := sqldb.Close(reader); err != nil {
				t.Error(err)
			}
		})
		count := func(in *gorm.DB) (n int64) {
			if err := in.Model(&named{}).Count(&n).Error; err != nil {
				t.Error(err)
			}
			return n
		}
		err = reader.Transaction(func(reads *gorm.DB) error {
			before := count(reads)
			return db.Transaction(func(writes *gorm.DB) error {
				if err := writes.Create(&named{Name: "anna"}).Error; err != nil {
					return err
				}
				if during := count(reads); before != 0 || during != 0 {
					t.Errorf("read %d rows, then %d", before, during)
				}
				return nil
			})
		})
		if after := count(reader); err != nil || after != 1 {
			t.Errorf("read %d rows after the commit, %v", after, err)
		}
		if db.Name() != "mysql" && reader.Create(&named{Name: "bob"}).Error == nil {
			t.Error("a reader has written")
		}
	})
}

func TestReadersOfADatabaseInMemoryAreRefused(t *testing.T) {
	t.Parallel()
	dsn := secret.New("sqlite::memory:")
	if _, err := sqldb.OpenReader(t.Context(), dsn, open(t, dsn, quiet())); !errors.Is(err, sqldb.ErrInMemory) {
		t.Errorf("another database was opened: %v", err)
	}
}

// A connection that is done with is kept for the next statement, however many there are.
func TestServersConnectionsAreKept(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		db := open(t, dsn, quiet())
		pool, err := db.DB()
		if err != nil {
			t.Fatal(err)
		}
		most := pool.Stats().MaxOpenConnections
		for range 3 {
			var together sync.WaitGroup
			together.Add(most)
			var calls errgroup.Group
			for range most {
				calls.Go(func() error {
					return db.Connection(func(*gorm.DB) error {
						together.Done()
						together.Wait() // for all connections to be in use
						return nil
					})
				})
			}
			if err := calls.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if s := pool.Stats(); s.MaxIdleClosed != 0 || s.Idle != most {
			t.Errorf("%d of %d connections are kept, %d were closed", s.Idle, most, s.MaxIdleClosed)
		}
	})
}

func TestParametersStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		db := open(t, dsn, log)
		if err := db.AutoMigrate(&named{}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second is refused, and refusals like to quote
			_ = db.Create(&named{Name: password}).Error
		}
		_ = db.Where("name = ?", password).Find(&[]named{}).Error
		_ = db.Exec("no such statement ?", password).Error
		if !strings.Contains(out.String(), "INSERT INTO") {
			t.Errorf("statements were to be logged: %s", out.String())
		}
		checkHidden(t, out.String(), password)
	})
}

func TestPing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		db, err := sqldb.Open(t.Context(), dsn, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if err := sqldb.Ping(t.Context(), db); err != nil {
			t.Error(err)
		}
		if err := sqldb.Close(db); err != nil {
			t.Error(err)
		}
		if err := sqldb.Ping(t.Context(), db); err == nil {
			t.Error("a closed database answers")
		}
	})
}

// Whatever a statement is made with, a database that is away is Unavailable, on the
// connections that only read as well.
func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	sqltest.EachServer(t, func(t *testing.T, server *sqltest.Server) {
		dsn, _, err := server.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.Open(t.Context(), dsn, quiet())
		if err != nil {
			t.Fatal(err)
		}
		reader, err := sqldb.OpenReader(t.Context(), dsn, db)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Down(); err != nil {
			t.Fatal(err)
		}
		var one int
		for name, statement := range map[string]func(*gorm.DB) error{
			"Scan": func(db *gorm.DB) error { return db.Raw("SELECT 1").Scan(&one).Error },
			"Rows": func(db *gorm.DB) error {
				rows, err := db.Raw("SELECT 1").Rows()
				if err == nil {
					err = errors.Join(rows.Err(), rows.Close())
				}
				return err
			},
			"Find": func(db *gorm.DB) error { return db.Raw("SELECT 1").Find(&one).Error },
			"Exec": func(db *gorm.DB) error { return db.Exec("SELECT 1").Error },
			"Transaction": func(db *gorm.DB) error {
				return db.Transaction(func(tx *gorm.DB) error { return tx.Exec("SELECT 1").Error })
			},
		} {
			for pool, db := range map[string]*gorm.DB{"writer": db, "reader": reader} {
				if err := statement(db.WithContext(t.Context())); fault.KindOf(err) != fault.Unavailable {
					t.Errorf("%s of the %s: %v", name, pool, err)
				}
			}
		}
		if err := errors.Join(sqldb.Close(reader), sqldb.Close(db)); err != nil {
			t.Error(err)
		}
	})
}

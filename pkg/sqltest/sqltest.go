// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package sqltest runs the tests of a store on every SQL engine that mailpush
// supports, on private servers made from the installed packages: no configuration,
// no server of the machine touched. Invariants: a server that is missing fails the
// test, it never skips; no server outlives the test process, however that ends.
//
// A package that uses [Each] hands its tests to [Main]:
//
//	func TestMain(m *testing.M) { sqltest.Main(m) }
package sqltest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"mailpush.internal/pkg/secret"
)

// OnlyEnv is the environment variable that, when it says sqlite, leaves the servers
// out; -short does too.
const OnlyEnv = "MAILPUSH_TEST_SQL"

// shared holds the servers of this test process. It is state of the package because
// a test function and TestMain share nothing else; starting servers for each test
// would cost seconds each.
var shared = servers{
	postgres: lazy{start: NewPostgres},
	mariadb:  lazy{start: NewMariaDB},
}

type servers struct {
	hooked            bool // Main runs the tests
	postgres, mariadb lazy
}

// lazy is a server that starts when it is first needed.
type lazy struct {
	start  func(dir string) (*Server, error)
	once   sync.Once
	server *Server
	err    error
}

func (l *lazy) get() (*Server, error) {
	l.once.Do(func() { l.server, l.err = l.start("") })
	return l.server, l.err
}

func (l *lazy) stop() error {
	if l.server == nil {
		return nil
	}
	return l.server.Stop()
}

// Main runs the tests, stops the servers they started, checks that no goroutine is
// left, for a store that does not close its database leaves some, and exits.
func Main(m *testing.M, options ...goleak.Option) {
	os.Exit(Run(m, options...)) //nolint:revive // it is all that TestMain does
}

// Run does that but for the exit, for a TestMain that has more to clean up, and returns
// the exit code.
func Run(m *testing.M, options ...goleak.Option) (code int) {
	shared.hooked = true
	defer func() {
		for _, l := range []*lazy{&shared.postgres, &shared.mariadb} {
			if err := l.stop(); err != nil {
				fmt.Fprintln(os.Stderr, "sqltest:", err)
				code = 1
			}
		}
		if err := goleak.Find(options...); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, "sqltest:", err)
			code = 1
		}
	}()
	return m.Run()
}

// Each runs body on SQLite, PostgreSQL and MariaDB in parallel subtests of those
// names, each with the address of a fresh, empty database. With -short, or when
// MAILPUSH_TEST_SQL is sqlite, it runs on SQLite only and says so.
func Each(t *testing.T, body func(t *testing.T, dsn secret.String)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		body(t, secret.New("sqlite://"+filepath.Join(t.TempDir(), "test.db")))
	})
	switch {
	case testing.Short():
		t.Log("-short: on SQLite only")
		return
	case os.Getenv(OnlyEnv) == "sqlite":
		t.Log(OnlyEnv + "=sqlite: on SQLite only")
		return
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		body(t, database(t, &shared.postgres))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		body(t, database(t, &shared.mariadb))
	})
}

// EachServer runs body on PostgreSQL and MariaDB in parallel subtests of those names, each
// with a server of its own, for tests that have it go down and come up. With -short, or
// when MAILPUSH_TEST_SQL is sqlite, there are none, and it says so.
func EachServer(t *testing.T, body func(t *testing.T, server *Server)) {
	t.Helper()
	if testing.Short() || os.Getenv(OnlyEnv) == "sqlite" {
		t.Log("without servers: not on any")
		return
	}
	for name, start := range map[string]func(dir string) (*Server, error){"postgres": NewPostgres, "mariadb": NewMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := start("")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
			})
			body(t, server)
		})
	}
}

// database makes a database for one test and drops it at the end.
func database(t *testing.T, l *lazy) secret.String {
	t.Helper()
	if !shared.hooked {
		t.Fatal("this package needs: func TestMain(m *testing.M) { sqltest.Main(m) }")
	}
	server, err := l.get()
	if err != nil {
		t.Fatal(err)
	}
	dsn, drop, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return dsn
}

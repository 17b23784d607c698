// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqltest_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/pkg/sqltest"
)

func TestMain(m *testing.M) { sqltest.Main(m) }

func TestEachBodyGetsAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	for range 2 { // the second time, the table must not be there
		sqltest.Each(t, func(t *testing.T, dsn secret.String) {
			db, err := sqldb.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = sqldb.Close(db) }()
			if err := db.Exec("CREATE TABLE here (id integer)").Error; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExecRunsInTheDatabaseThatIsNamed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("-short: on SQLite only")
		return
	}
	for name, start := range map[string]func(dir string) (*sqltest.Server, error){"postgres": sqltest.NewPostgres, "mariadb": sqltest.NewMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := start(openDirectory(t))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
			}()
			one, _, err1 := server.NewDatabase(t.Context())
			other, _, err2 := server.NewDatabase(t.Context())
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{"CREATE TABLE here (id integer)", "INSERT INTO here VALUES (1), (2)"} {
				if _, err := server.Exec(t.Context(), one, statement); err != nil {
					t.Fatal(err)
				}
			}
			if rows, err := server.Exec(t.Context(), one, "DELETE FROM here"); err != nil || rows != 2 {
				t.Errorf("%d rows are deleted, %v", rows, err)
			}
			if _, err := server.Exec(t.Context(), other, "DELETE FROM here"); err == nil {
				t.Error("the table is in another database, too")
			}
		})
	}
}

func TestServerIsGoneAfterStop(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("-short: on SQLite only")
		return
	}
	for name, start := range map[string]func(string) (*sqltest.Server, error){
		"postgres": sqltest.NewPostgres,
		"mariadb":  sqltest.NewMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := openDirectory(t)
			server, err := start(dir)
			if err != nil {
				t.Fatal(err)
			}
			dsn, _, err := server.NewDatabase(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if db, err := sqldb.Open(t.Context(), dsn, slog.New(slog.DiscardHandler)); err == nil {
				t.Error("it still answers")
				_ = sqldb.Close(db)
			} else if !strings.Contains(err.Error(), "refused") {
				t.Errorf("refused was expected: %v", err)
			}
		})
	}
}

// TestServersAreMadeSideBySide is what packages do whose tests run at once. Each
// server that starts clears its temporary directory of another's tables.
func TestServersAreMadeSideBySide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("-short: on SQLite only")
		return
	}
	dir := openDirectory(t)
	for range 6 {
		t.Run("mariadb", func(t *testing.T) {
			t.Parallel()
			server, err := sqltest.NewMariaDB(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// openDirectory is a temporary directory that a server's own user may enter, which
// t.TempDir is not.
func openDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sqltest-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

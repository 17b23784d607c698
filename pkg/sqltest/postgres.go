// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqltest

import (
	"cmp"
	"context"
	"database/sql"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"mailpush.internal/pkg/proctest"
)

// postgresPrograms is where Debian puts them, a directory for each version.
const postgresPrograms = "/usr/lib/postgresql/*/bin"

// NewPostgres starts a PostgreSQL server in a new directory inside dir, the system's
// temporary directory when dir is empty. When root runs it, the system user postgres
// must be able to reach that directory. It is for programs that are no tests, such as
// benchmarks; call Stop.
func NewPostgres(dir string) (*Server, error) {
	programs, err := findPostgres()
	if err != nil {
		return nil, err
	}
	return engine{
		user:     "postgres",
		scheme:   "postgres",
		dropping: "DROP DATABASE %s WITH (FORCE)",
		orderly:  syscall.SIGINT,
		prepare:  programs.prepare,
		serve:    programs.serve,
		open: func(address url.URL, database string) (*sql.DB, error) {
			config, err := pgx.ParseConfig(address.JoinPath(cmp.Or(database, "postgres")).String())
			if err != nil {
				return nil, err
			}
			return stdlib.OpenDB(*config), nil
		},
	}.start(dir)
}

// postgres is the directory of one version's programs.
type postgres string

func findPostgres() (postgres, error) {
	found, err := filepath.Glob(filepath.Join(postgresPrograms, "initdb"))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", missing("PostgreSQL", &fs.PathError{Op: "finding", Path: postgresPrograms + "/initdb", Err: fs.ErrNotExist})
	}
	return postgres(filepath.Dir(slices.Max(found))), nil
}

func (p postgres) program(name string) string { return filepath.Join(string(p), name) }

func (p postgres) prepare(ctx context.Context, site site) error {
	// The directory is private to the server's user and ours; the file is readable
	// inside it because root may have written it.
	file := filepath.Join(site.dir, "password")
	if err := os.WriteFile(file, []byte(site.password+"\n"), 0o644); err != nil {
		return err
	}
	defer func() { _ = os.Remove(file) }() // it goes with the directory at the latest
	return site.run(ctx, p.program("initdb"),
		"--pgdata=data", "--username="+superuser, "--pwfile="+file, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
}

func (p postgres) serve(owner owner, site site, port string) (*proctest.Process, error) {
	return owner.serve(site.dir, p.program("postgres"), syscall.SIGQUIT,
		"-D", "data", "-h", "127.0.0.1", "-p", port, "-k", "",
		"-c", "max_connections=300", "-c", "shared_buffers=32MB",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
}

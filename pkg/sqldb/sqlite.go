// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/glebarez/sqlite"
)

// sqliteOptions hold for every connection. FULL, not NORMAL: in WAL mode NORMAL may
// lose the last commits in a power cut, and a subscription is answered because it
// is on disk. Transactions begin as writers (immediate), so that none has to be
// upgraded, which SQLite refuses rather than waits for.
const sqliteOptions = "?_txlock=immediate" +
	"&_pragma=busy_timeout(10000)" +
	"&_pragma=journal_mode(WAL)" +
	"&_pragma=synchronous(FULL)" +
	"&_pragma=foreign_keys(ON)"

// readerOptions hold for connections that only read: in WAL mode they and the writer do not
// wait for each other. How the file is kept is the writer's to say.
const readerOptions = "?_pragma=busy_timeout(10000)&_pragma=query_only(ON)"

// ErrInMemory refuses a reader of a database in memory, which has one connection.
var ErrInMemory = errors.New("a database in memory has no readers of its own")

// memory is the address of a database that is gone when it is closed.
const memory = ":memory:"

// openSQLite opens a file, or a database in memory. There is one connection that writes:
// SQLite has one writer, and with one connection waiting is a queue and not a race of
// retries. Of those that only read there is one for each processor.
func openSQLite(ctx context.Context, where string, is purpose) (opened, error) {
	name, options := memory, sqliteOptions
	if is == reading {
		options = readerOptions
	}
	switch {
	case where == memory && is == reading:
		return opened{}, ErrInMemory
	case where != memory:
		path, err := sqlitePath(where)
		if err != nil {
			return opened{}, err
		}
		if err := makeFile(path); err != nil {
			return opened{}, fmt.Errorf("opening the database file: %w", err)
		}
		name = (&url.URL{Path: path}).EscapedPath()
	}
	pool, err := sql.Open(sqlite.DriverName, "file:"+name+options)
	if err != nil {
		return opened{}, fmt.Errorf("opening the database file: %w", err)
	}
	pool.SetMaxOpenConns(1)
	if is == reading {
		readers := max(2, runtime.GOMAXPROCS(0))
		pool.SetMaxOpenConns(readers)
		pool.SetMaxIdleConns(readers)
	}
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close() // the error that counts is the one above
		return opened{}, fmt.Errorf("opening the database file %s: %w", where, err)
	}
	return opened{pool: pool, dialect: &sqlite.Dialector{Conn: pool}}, nil
}

func sqlitePath(where string) (string, error) {
	path, rooted := strings.CutPrefix(where, "//")
	switch {
	case strings.ContainsRune(path, '?'):
		return "", errors.New("a sqlite: address takes no parameters")
	case path == "", rooted && !filepath.IsAbs(path):
		return "", errors.New("a sqlite: address looks like sqlite:///var/lib/mailpush/name.db")
	}
	return path, nil
}

// makeFile makes the file, for SQLite would make it readable to all. The files
// SQLite puts beside it take over its mode.
func makeFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

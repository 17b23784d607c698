// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package sqldb opens the SQL database of a service: SQLite, PostgreSQL or
// MySQL/MariaDB, chosen by the scheme of an address. Only store packages use it.
// Invariants: neither the password of an address nor a parameter of a statement
// appears in an error or a log line of this package; a committed transaction
// survives a power cut; names compare byte by byte on every engine; a database that is
// away is an error of kind Unavailable, whatever it was asked, and one line of the log.
//
// What a store must know to behave alike on all three:
//   - give every indexed string a size (gorm:"size:64"), MySQL indexes no unbounded text;
//   - keep times as milliseconds in an int64, the engines disagree on zones and fractions;
//   - inside a transaction use the transaction's handle only: SQLite has one
//     connection, so the outer handle would wait for itself;
//   - single statements are not wrapped in a transaction of their own by GORM:
//     what belongs together goes into db.Transaction.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
)

const (
	connectTimeout = 10 * time.Second

	// The limits of a server's pool: statements are short, so few connections
	// carry much, and many replicas share one server. All of them are kept while there is
	// work: to open one costs PostgreSQL a process and a password check, which is many times
	// a statement.
	maxOpen     = 16
	maxReaders  = 2
	maxIdleTime = 5 * time.Minute
	maxLifetime = 30 * time.Minute
)

// errScheme does not repeat the address: it may hold a password.
var errScheme = errors.New("a database address starts with sqlite:, postgres:// or mysql://")

// opened is a connection pool that has answered, and GORM's word for its engine.
type opened struct {
	pool    *sql.DB
	dialect gorm.Dialector
}

// Open connects to the database at dsn and checks that it answers:
//
//	sqlite:///var/lib/mailpush/registry.db    a file, made with mode 0600; its directory must exist
//	sqlite::memory:                           gone when closed
//	postgres://user:password@host:5432/name   with the parameters of libpq, e.g. ?sslmode=verify-full
//	mysql://user:password@host:3306/name      MySQL or MariaDB; ?tls=true, skip-verify or preferred
//
// Special characters in a password are percent-encoded. The handle is safe for
// concurrent use; close it with [Close]. A server that does not answer, yet, is
// Unavailable.
func Open(ctx context.Context, dsn secret.String, log *slog.Logger) (*gorm.DB, error) {
	return open(ctx, dsn, statementLog{log, condition.NewShared(log, slog.LevelWarn, "the database does not answer")}, writing)
}

// OpenReader opens a database that is open already once more, for reads that take long: on
// connections of their own they wait for no write, and none waits for them. A read sees what
// was committed when it began. SQLite and PostgreSQL refuse to write on such a connection.
// A database in memory has none, which is [ErrInMemory]. of is the handle that [Open] has
// returned for it: that the database is away is logged once for both.
func OpenReader(ctx context.Context, dsn secret.String, of *gorm.DB) (*gorm.DB, error) {
	log, ok := of.Logger.(statementLog)
	if !ok {
		return nil, errors.New("opening readers of a database: the handle is not one that was opened here")
	}
	return open(ctx, dsn, log, reading)
}

// purpose is what the connections of a pool are for.
type purpose bool

const (
	writing purpose = false
	reading purpose = true
)

func open(ctx context.Context, dsn secret.String, log statementLog, is purpose) (*gorm.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	o, err := connect(ctx, dsn.Reveal(), is)
	if away(err) {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: err.Error(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(dialect{o.dialect, log.answers}, &gorm.Config{
		Logger:                 log,
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) },
		SkipDefaultTransaction: true,
		TranslateError:         true,
		DisableAutomaticPing:   true, // done
	})
	if err != nil {
		_ = o.pool.Close() // the error that counts is the one above
		return nil, fmt.Errorf("preparing the database: %w", err)
	}
	return db, nil
}

func connect(ctx context.Context, dsn string, is purpose) (opened, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest, is)
	case "postgres", "postgresql":
		return openPostgres(ctx, dsn, is)
	case "mysql", "mariadb":
		return openMySQL(ctx, dsn, is)
	default:
		return opened{}, errScheme
	}
}

// limit sets the pool limits of a database server.
func limit(pool *sql.DB, is purpose) *sql.DB {
	open := maxOpen
	if is == reading {
		open = maxReaders
	}
	pool.SetMaxOpenConns(open)
	pool.SetMaxIdleConns(open)
	pool.SetConnMaxIdleTime(maxIdleTime)
	pool.SetConnMaxLifetime(maxLifetime)
	return pool
}

// Ping checks that the database still answers; for readiness checks.
func Ping(ctx context.Context, db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	if err := pool.PingContext(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the database does not answer")
	}
	return nil
}

// Close closes all connections. Statements still running end with an error.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	if err := pool.Close(); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

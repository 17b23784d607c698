// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package store keeps the registry in SQL through GORM: users, registrations,
// subscriptions, cursors and epochs, alike on SQLite, PostgreSQL and MariaDB.
//
// It keeps these invariants: a user row exists exactly as long as the user has a
// registration or is disabled, and a registration as long as it has a subscription; what
// has happened to a user is remembered in the transaction that has made it so; a cursor
// never moves backwards under one UIDVALIDITY, and never under an epoch below the
// newest of its shard; a credential that nobody needs is noted for erasure in the
// transaction that makes it so.
//
// Several replicas use one database at once. What a call decides by it has locked
// before, and all calls lock in one order, so that none waits for another that waits for
// it: epochs by backend and shard, an origin, the user, subscriptions by id, then what
// hangs on them. Where that is not so, the database ends one of the two, which is tried
// again. What a call has read without a lock it checks again before it writes.
//
// Errors of this package's own are faults of a kind, named at each method. All others are
// the database's, and say what was being done.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
)

// Store is the registry in one database. It is safe for concurrent use.
type Store struct {
	db  *gorm.DB
	log *slog.Logger
	// reader is for reads that take long: on connections of its own, or they would hold up
	// whatever is written meanwhile, and the other way round.
	reader *gorm.DB
}

// Open connects to the database and brings its schema up to date.
func Open(ctx context.Context, dsn secret.String, log *slog.Logger) (*Store, error) {
	db, err := sqldb.Open(ctx, dsn, log)
	if err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	if err := sqldb.Migrate(db.WithContext(ctx), "registry_migrations", migrations()); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the registry: %w", err), sqldb.Close(db))
	}
	reader, err := sqldb.OpenReader(ctx, dsn, db)
	if errors.Is(err, sqldb.ErrInMemory) {
		reader, err = db, nil
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the registry for reading: %w", err), sqldb.Close(db))
	}
	return &Store{db: db, log: log, reader: reader}, nil
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return sqldb.Ping(ctx, s.db) }

// Close lets go of the database.
func (s *Store) Close() error {
	err := sqldb.Close(s.db)
	if s.reader != s.db {
		err = errors.Join(sqldb.Close(s.reader), err)
	}
	return err
}

// attempts is how often a transaction is tried that the database took back in
// favour of another one.
const attempts = 5

// write runs fn in a transaction, and again when the database took it back: fn sets
// whatever it returns anew each time, and does nothing but in the transaction. What
// fn reads after it has taken a lock is what the lock's last holder left, which
// is why MySQL must not read from a snapshot, its default, here.
func (s *Store) write(ctx context.Context, fn func(tx *gorm.DB) error) error {
	var options []*sql.TxOptions
	if s.db.Name() == "mysql" {
		options = append(options, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	}
	var err error
	for range attempts {
		if err = s.db.WithContext(ctx).Transaction(fn, options...); !takenBack(err) {
			return err
		}
	}
	return err
}

// takenBack recognises deadlocks and lost races: nothing of the transaction has
// happened and it may be tried again. A lost connection is none: whether its commit was
// carried out nobody knows. SQLite has neither, for its transactions begin as the one
// writer.
func takenBack(err error) bool {
	const deadlock = 1213 // MySQL's ER_LOCK_DEADLOCK
	if my := new(driver.MySQLError); errors.As(err, &my) {
		return my.Number == deadlock
	}
	var pg interface{ SQLState() string }
	return errors.As(err, &pg) && slices.Contains([]string{"40001", "40P01"}, pg.SQLState())
}

// assign sets a column in the update part of an upsert. In the expression @old
// stands for the stored value and @new for the offered one. Comparing the two in the
// statement itself needs no read before it, and so no lock between the two.
func assign(tx *gorm.DB, table, column, expr string) clause.Assignment {
	expr = strings.NewReplacer("@old", stored(table, column), "@new", offered(tx, column)).Replace(expr)
	return clause.Assignment{Column: clause.Column{Name: column}, Value: clause.Expr{SQL: expr}}
}

func stored(table, column string) string { return table + "." + column }

func offered(tx *gorm.DB, column string) string {
	if tx.Name() == "mysql" {
		return "VALUES(" + column + ")"
	}
	return "excluded." + column
}

// slicesOf cuts a list into pieces that one statement can name.
func slicesOf(list []string) iter.Seq[[]string] { return slices.Chunk(list, chunk) }

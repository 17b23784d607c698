// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
)

// lockPatience is how long a starting replica waits for another one's migrations.
const lockPatience = time.Minute

// mysqlTables makes names compare byte by byte, as SQLite and PostgreSQL do:
// by default Anna and anna would be one key.
const mysqlTables = "ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

// Migrate brings the schema up to date: it runs those migrations that table does
// not list yet, in order. Replicas may start at the same moment: one migrates, the
// others wait for it and find nothing to do. The context is db's.
//
// On SQLite and PostgreSQL all of it is one transaction. MySQL commits each DDL
// statement by itself, so a migration must bear being run again after it was cut
// short: make tables with AutoMigrate, which makes what is missing. Migrations that the
// database has and this program does not know are left alone: an older release
// may have to start again during a rolling upgrade.
func Migrate(db *gorm.DB, table string, migrations []*gormigrate.Migration) error {
	err := db.Connection(func(conn *gorm.DB) (err error) {
		conn = conn.Set("gorm:table_options", tableOptions(conn)).Session(&gorm.Session{})
		unlock, err := lockMigrations(conn, table)
		if err != nil {
			return fmt.Errorf("waiting for the migration lock: %w", err)
		}
		defer func() { err = errors.Join(err, unlock()) }()
		return gormigrate.New(conn, &gormigrate.Options{
			TableName:      table,
			IDColumnName:   "id",
			IDColumnSize:   190,
			UseTransaction: conn.Name() != "mysql",
		}, migrations).Migrate()
	})
	if away(err) { // GORM does not translate what it takes a connection for
		return fault.Wrap(fault.Unavailable, err, "migrating the schema listed in %s: the database does not answer", table)
	}
	if err != nil {
		return fmt.Errorf("migrating the schema listed in %s: %w", table, err)
	}
	return nil
}

func tableOptions(db *gorm.DB) string {
	if db.Name() == "mysql" {
		return mysqlTables
	}
	return ""
}

// lockMigrations takes a lock that ends with the connection. SQLite needs none: its
// transaction begins as the one writer.
func lockMigrations(conn *gorm.DB, table string) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeout(conn.Statement.Context, lockPatience)
	defer cancel()
	switch conn.Name() {
	case "postgres":
		return lockPostgres(ctx, conn, table)
	case "mysql":
		return lockMySQL(ctx, conn, table)
	default:
		return func() error { return nil }, nil
	}
}

// lockPostgres takes an advisory lock, which is one of the current database.
func lockPostgres(ctx context.Context, conn *gorm.DB, table string) (func() error, error) {
	sum := sha256.Sum256([]byte("mailpush migrations " + table))
	key := int64(binary.BigEndian.Uint64(sum[:]))
	if err := conn.WithContext(ctx).Exec("SELECT pg_advisory_lock(?)", key).Error; err != nil {
		return nil, err
	}
	return unlocker(ctx, conn, "SELECT pg_advisory_unlock(?)", key), nil
}

// lockMySQL takes a named lock, which is one of the whole server, hence the
// database's name in it.
func lockMySQL(ctx context.Context, conn *gorm.DB, table string) (func() error, error) {
	sum := sha256.Sum256([]byte("mailpush migrations " + conn.Migrator().CurrentDatabase() + " " + table))
	name := "mailpush." + hex.EncodeToString(sum[:16])
	var got *int
	seconds := int(lockPatience / time.Second)
	if err := conn.WithContext(ctx).Raw("SELECT GET_LOCK(?, ?)", name, seconds).Scan(&got).Error; err != nil {
		return nil, err
	}
	if got == nil || *got != 1 {
		return nil, fmt.Errorf("another process has held it for %s", lockPatience)
	}
	return unlocker(ctx, conn, "DO RELEASE_LOCK(?)", name), nil
}

// unlocker frees a lock, also after the context of the migration has ended.
func unlocker(ctx context.Context, conn *gorm.DB, statement string, lock any) func() error {
	conn = conn.WithContext(context.WithoutCancel(ctx))
	return func() error { return conn.Exec(statement, lock).Error }
}

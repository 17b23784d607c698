// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
)

// away tells whether an error is the database's being away, or taking no writes for now:
// what passes by itself, or when somebody mends the database, and never for what it was
// asked.
func away(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return awayPostgres(pg.Code)
	}
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return awayMySQL(my.Number)
	}
	if lite, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return awaySQLite(lite.Code())
	}
	return !errors.Is(err, context.Canceled) && (unreached(err) || cutOff(err))
}

// unreached tells whether no connection was made.
func unreached(err error) bool {
	_, dialed := errors.AsType[*net.OpError](err)
	_, named := errors.AsType[*net.DNSError](err)
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	return dialed || named || refused
}

// cutOff tells whether a connection has ended under a statement.
func cutOff(err error) bool {
	return pgconn.SafeToRetry(err) || slices.ContainsFunc(
		[]error{driver.ErrBadConn, mysql.ErrInvalidConn, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed},
		func(end error) bool { return errors.Is(err, end) })
}

// awayPostgres judges an SQLSTATE: connections (class 08), resources such as its disk (53),
// its shutdown and start (57P01 to 57P03), and one that is read only, as a replica is that
// is about to become the primary (25006).
func awayPostgres(code string) bool {
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57P0") || code == "25006"
}

// awayMySQL judges an error's number in the same way.
func awayMySQL(number uint16) bool {
	const (
		diskFull         = 1021
		tooMany          = 1040
		shutdown         = 1053
		tableFull        = 1114
		lockTimeout      = 1205
		readOnlyOption   = 1290
		readOnlyMode     = 1836
		shutdownOrKilled = 1927 // MariaDB's ER_CONNECTION_KILLED
	)
	return slices.Contains([]uint16{diskFull, tooMany, shutdown, tableFull, lockTimeout, readOnlyOption, readOnlyMode, shutdownOrKilled}, number)
}

// awaySQLite judges a result code, of which the lowest byte is the primary one.
func awaySQLite(code int) bool {
	const (
		busy    = 5
		ioError = 10
		full    = 13
	)
	return slices.Contains([]int{busy, ioError, full}, code&0xff)
}

// dialect is GORM's word for an engine, that makes Unavailable of whatever is away: one
// place, in front of all that stores do. The log hears of it once.
type dialect struct {
	gorm.Dialector

	answers *condition.Condition
}

// Initialize implements [gorm.Dialector]. GORM translates the errors of all statements but
// those of Row, Rows and Scan, so that is done here.
func (d dialect) Initialize(db *gorm.DB) error {
	if err := d.Dialector.Initialize(db); err != nil {
		return err
	}
	return db.Callback().Row().After("gorm:row").Register("sqldb:translate", func(tx *gorm.DB) {
		if tx.Error != nil {
			tx.Error = d.Translate(tx.Error)
		}
	})
}

// Translate implements [gorm.ErrorTranslator].
func (d dialect) Translate(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return err // translated before
	}
	if away(err) {
		d.answers.Failed(context.Background(), err) // GORM does not say for whom
		return fault.Wrap(fault.Unavailable, err, "the database does not answer; try again")
	}
	if engine, ok := d.Dialector.(gorm.ErrorTranslator); ok {
		return engine.Translate(err)
	}
	return err
}

// Apply hands on what GORM asks an engine for, when it has it.
func (d dialect) Apply(config *gorm.Config) error {
	if engine, ok := d.Dialector.(interface{ Apply(*gorm.Config) error }); ok {
		return engine.Apply(config)
	}
	return nil
}

// SavePoint implements [gorm.SavePointerDialectorInterface].
func (d dialect) SavePoint(tx *gorm.DB, name string) error {
	if engine, ok := d.Dialector.(gorm.SavePointerDialectorInterface); ok {
		return engine.SavePoint(tx, name)
	}
	return gorm.ErrUnsupportedDriver
}

// RollbackTo implements [gorm.SavePointerDialectorInterface].
func (d dialect) RollbackTo(tx *gorm.DB, name string) error {
	if engine, ok := d.Dialector.(gorm.SavePointerDialectorInterface); ok {
		return engine.RollbackTo(tx, name)
	}
	return gorm.ErrUnsupportedDriver
}

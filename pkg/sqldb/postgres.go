// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
)

const dialTimeout = 5 * time.Second

func openPostgres(ctx context.Context, dsn string, is purpose) (opened, error) {
	server, err := parseServer(dsn)
	if err != nil {
		return opened{}, err
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return opened{}, server.hide(fmt.Errorf("reading the database address: %w", err))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTimeout
	}
	if is == reading {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}
	pool := limit(stdlib.OpenDB(*config), is)
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close() // the error that counts is the one above
		return opened{}, server.hide(fmt.Errorf("connecting to PostgreSQL at %s: %w", server.address(), err))
	}
	return opened{pool: pool, dialect: postgres.New(postgres.Config{Conn: pool})}, nil
}

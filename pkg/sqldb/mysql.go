// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
)

const mysqlPort = "3306"

func openMySQL(ctx context.Context, dsn string, is purpose) (opened, error) {
	server, err := parseServer(dsn)
	if err != nil {
		return opened{}, err
	}
	config, err := server.mysql()
	if err != nil {
		return opened{}, err
	}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return opened{}, server.hide(fmt.Errorf("reading the database address: %w", err))
	}
	pool := limit(sql.OpenDB(connector), is)
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close() // the error that counts is the one above
		return opened{}, server.hide(fmt.Errorf("connecting to MySQL at %s: %w", server.address(), err))
	}
	return opened{pool: pool, dialect: mysql.New(mysql.Config{Conn: pool, DSNConfig: config})}, nil
}

// mysql turns the address into the driver's configuration. The comparison of names
// is set by [Migrate] when it makes a table, not here.
func (s server) mysql() (*driver.Config, error) {
	config := driver.NewConfig()
	config.User, config.Passwd = s.url.User.Username(), s.password
	config.Net, config.Addr = "tcp", s.url.Host
	config.DBName = s.name()
	config.ParseTime, config.Loc = true, time.UTC
	config.Timeout = dialTimeout
	config.Params = map[string]string{"time_zone": "'+00:00'", "charset": "utf8mb4"}
	config.Logger = &driver.NopLogger{} // what it would print is also returned
	if s.url.Port() == "" {
		config.Addr = net.JoinHostPort(s.url.Hostname(), mysqlPort)
	}
	for key, values := range s.url.Query() {
		if key != "tls" {
			return nil, errors.New("a mysql:// address takes the parameter tls only")
		}
		config.TLSConfig = values[0]
		if !slices.Contains([]string{"true", "false", "skip-verify", "preferred"}, config.TLSConfig) {
			return nil, errors.New("the parameter tls of a mysql:// address is true, false, skip-verify or preferred")
		}
	}
	return config, nil
}

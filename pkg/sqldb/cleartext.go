// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"mailpush.internal/pkg/secret"
)

// ClearText tells to which other machine an address has everything go in clear text, or may
// have it go, as when the server can ask for that, and what to write into the address to
// prevent it. There is no host where it cannot happen: over TLS, in this machine, in a file.
// An address that is none is for [Open] to refuse.
func ClearText(dsn secret.String) (host, remedy string) {
	switch scheme, _, _ := strings.Cut(dsn.Reveal(), ":"); scheme {
	case "postgres", "postgresql":
		return clearPostgres(dsn.Reveal()), "sslmode=verify-full"
	case "mysql", "mariadb":
		return clearMySQL(dsn.Reveal()), "tls=true"
	default:
		return "", ""
	}
}

// clearPostgres asks the driver, for the environment has a say as well (PGSSLMODE).
func clearPostgres(dsn string) string {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return ""
	}
	inClear := func(host string, config *tls.Config) bool { return config == nil && isRemote(host) }
	if inClear(config.Host, config.TLSConfig) {
		return config.Host
	}
	for _, next := range config.Fallbacks { // other hosts, and the same ones in another way
		if inClear(next.Host, next.TLSConfig) {
			return next.Host
		}
	}
	return ""
}

func clearMySQL(dsn string) string {
	server, err := parseServer(dsn)
	if err != nil {
		return ""
	}
	config, err := server.mysql()
	host := server.url.Hostname()
	if err != nil || !isRemote(host) || !slices.Contains([]string{"", "false", "preferred"}, config.TLSConfig) {
		return ""
	}
	return host
}

// isRemote tells whether a host is another machine. A path is a socket of this one.
func isRemote(host string) bool {
	if host == "" || strings.HasPrefix(host, "/") || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

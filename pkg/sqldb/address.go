// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"errors"
	"net/url"
	"strings"
)

// server is the address of a database server, taken apart.
type server struct {
	url      *url.URL
	password string
}

// parseServer reads scheme://user:password@host:port/name. Its errors are fixed
// texts: net/url's quote the address, password and all.
func parseServer(dsn string) (server, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return server{}, errors.New("the database address is not a URL; " +
			"special characters in its password are written as %XX")
	}
	s := server{url: u}
	s.password, _ = u.User.Password()
	if u.Opaque != "" || s.name() == "" || strings.Contains(s.name(), "/") {
		return server{}, errors.New("a database address looks like " + u.Scheme + "://user:password@host/name")
	}
	return s, nil
}

// name is the database's name on the server.
func (s server) name() string { return strings.TrimPrefix(s.url.Path, "/") }

// address is what may be shown: where, which database and as whom.
func (s server) address() string {
	return s.url.Host + ", database " + s.name() + ", user " + s.url.User.Username()
}

// hide makes sure that the password is not in what err says.
func (s server) hide(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if s.password != "" {
		for _, form := range []string{s.password, url.PathEscape(s.password), url.QueryEscape(s.password)} {
			text = strings.ReplaceAll(text, form, "[redacted]")
		}
	}
	return hidden{text: text, err: err}
}

// hidden is an error whose text has been cleaned; errors.Is and As still see it whole.
type hidden struct {
	text string
	err  error
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.err }

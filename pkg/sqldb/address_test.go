// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// A server's refusal may quote what it was sent, raw or encoded.
func FuzzPasswordIsHidden(f *testing.F) {
	f.Add("simple", "1")
	f.Add("a b%2F/#?@:", "\x00é")
	f.Fuzz(func(t *testing.T, password, query string) {
		u := url.URL{
			Scheme: "mysql", Host: "db", Path: "/x",
			User:     url.UserPassword("u", password),
			RawQuery: url.Values{"tls": {query}}.Encode(),
		}
		s, err := parseServer(u.String())
		if err != nil {
			t.Fatalf("%q was not read: %v", u.String(), err)
		}
		if s.password != password {
			t.Fatalf("read %q, want %q", s.password, password)
		}
		if _, err := s.mysql(); err != nil && len(password) > 40 && strings.Contains(err.Error(), password) {
			t.Errorf("%v shows it", err)
		}
		said := errors.New("refused: <" + password + "> <" + url.QueryEscape(password) + "> <" + url.PathEscape(password) + ">")
		if got := s.hide(said).Error(); strings.Contains(got, "<"+password+">") && password != "" {
			t.Errorf("%q shows it", got)
		}
		if !errors.Is(s.hide(said), said) {
			t.Error("the cause is lost")
		}
	})
}

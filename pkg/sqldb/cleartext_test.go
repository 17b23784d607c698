// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"net/url"
	"strings"
	"testing"

	"mailpush.internal/pkg/secret"
)

func TestClearTextToAnotherMachine(t *testing.T) {
	t.Parallel()
	const postgres, mysql = "sslmode=verify-full", "tls=true"
	for dsn, want := range map[string][2]string{
		"postgres://u:pw@db.example/r":                           {"db.example", postgres}, // prefer
		"postgresql://u:pw@db.example:5433/r?sslmode=disable":    {"db.example", postgres},
		"postgres://u:pw@10.1.2.3/r?sslmode=allow":               {"10.1.2.3", postgres},
		"postgres://u:pw@[fd00::1]/r?sslmode=prefer":             {"fd00::1", postgres},
		"postgres://u:pw@localhost,db.example/r?sslmode=disable": {"db.example", postgres},
		"postgres://u:pw@db.example/r?sslmode=require":           {"", postgres},
		"postgres://u:pw@db.example/r?sslmode=verify-full":       {"", postgres},
		"postgres://u:pw@LOCALHOST/r":                            {"", postgres},
		"postgres://u:pw@127.0.0.1:5433/r?sslmode=disable":       {"", postgres},
		"postgres://u:pw@[::1]/r":                                {"", postgres},
		"postgres:///r?host=/run/postgresql":                     {"", postgres},
		"mysql://u:pw@db.example/r":                              {"db.example", mysql},
		"mariadb://u:pw@db.example:3307/r?tls=false":             {"db.example", mysql},
		"mysql://u:pw@db.example/r?tls=preferred":                {"db.example", mysql},
		"mysql://u:pw@db.example/r?tls=true":                     {"", mysql},
		"mysql://u:pw@db.example/r?tls=skip-verify":              {"", mysql},
		"mysql://u:pw@localhost/r":                               {"", mysql},
		"mysql://u:pw@127.0.0.1:3307/r":                          {"", mysql},
		"mysql://u:pw@db.example/r?tls=perhaps":                  {"", mysql}, // Open refuses it
		"postgres://u:pw@db.example/r?sslmode=perhaps":           {"", postgres},
		"sqlite:///var/lib/mailpush/r.db":                        {"", ""},
		"db.example":                                             {"", ""},
		"":                                                       {"", ""},
	} {
		host, remedy := ClearText(secret.New(dsn))
		if host != want[0] || remedy != want[1] {
			t.Errorf("%s: got %q, %q, want %q", dsn, host, remedy, want)
		}
	}
}

// Whatever an address is, what is said of it is a host, and nothing that is before the @.
func FuzzClearTextShowsNoPassword(f *testing.F) {
	for _, password := range []string{"simple", "a b%2F/#?@:", "\x00é,"} {
		f.Add(password, "sslmode=disable")
	}
	f.Fuzz(func(t *testing.T, password, query string) {
		password = "longer than a host is: " + password
		for _, scheme := range []string{"postgres", "mysql"} {
			u := url.URL{Scheme: scheme, Host: "db.example", Path: "/x", User: url.UserPassword("u", password), RawQuery: query}
			if host, _ := ClearText(secret.New(u.String())); strings.Contains(host, password) {
				t.Errorf("%q shows it", host)
			}
			ClearText(secret.New(scheme + ":" + password + query))
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"
	"testing"
)

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		server   string
		port     uint16
		customCA bool
		want     string // a URL, or what the error says
	}{
		{"this machine is asked in clear", "localhost", 0, false, "http://localhost:8080"},
		{"this machine by address", "127.0.0.2", 81, false, "http://127.0.0.2:81"},
		{"this machine by IPv6 address", "::1", 0, false, "http://[::1]:8080"},
		{"a CA means TLS, here too", "localhost", 0, true, "https://localhost:8080"},
		{"another machine is asked by TLS", "push.example.com", 0, false, "https://push.example.com:8080"},
		{"host and port in one", "push.example.com:8443", 0, false, "https://push.example.com:8443"},
		{"IPv6 in brackets with a port", "[2001:db8::1]:8443", 0, false, "https://[2001:db8::1]:8443"},
		{"IPv6 in brackets", "[2001:db8::1]", 8443, false, "https://[2001:db8::1]:8443"},
		{"a URL keeps its scheme's port", "https://push.example.com", 0, false, "https://push.example.com"},
		{"a URL with its port apart", "http://10.0.0.1", 8080, false, "http://10.0.0.1:8080"},
		{"a URL below a path", "https://example.com/push/", 0, false, "https://example.com/push"},
		{"two ports", "push.example.com:1", 2, false, "both name a port"},
		{"two ports in a URL", "http://push.example.com:1", 2, false, "both name a port"},
		{"a password in the URL", "https://admin:s3cret@push.example.com", 0, false, "must not carry a name or a password"},
		{"another scheme", "ftp://push.example.com", 0, false, "want http or https"},
		{"a query", "https://push.example.com?x=1", 0, false, "want a host, or a URL"},
		{"no host in the URL", "https://", 0, false, "want a host, or a URL"},
		{"no host", "", 0, false, "want a host, or a URL"},
		{"a port that is none", "localhost:http", 0, false, "want a host, or a URL"},
		{"a path without a scheme", "push.example.com/x", 0, false, "want a host, or a URL"},
		{"a name and password without a scheme", "admin@push.example.com", 0, false, "want a host, or a URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := endpoint{server: test.server, port: test.port}
			got, err := e.resolve(test.customCA)
			if err != nil {
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the error shows the password: %v", err)
				}
				got = err.Error()
			}
			if (err == nil && got != test.want) || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

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
		port     port
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
		{"this machine in capitals", "LOCALHOST", 0, false, "http://localhost:8080"},
		{"this machine with a dot", "localhost.", 0, false, "http://localhost.:8080"},
		{"this machine in a URL in capitals", "HTTP://LocalHost", 0, false, "http://localhost"},
		{"this machine as IPv4 in IPv6", "::ffff:127.0.0.1", 0, false, "http://[::ffff:127.0.0.1]:8080"},
		{"a name in capitals", "Push.EXAMPLE.Com", 0, false, "https://push.example.com:8080"},
		{"an international name", "bücher.example", 0, false, "https://b%C3%BCcher.example:8080"},
		{"IPv6 in a URL", "https://[2001:DB8::1]", 0, false, "https://[2001:db8::1]"},
		{"IPv6 in a URL with a port", "https://[2001:db8::1]:8443/push", 0, false, "https://[2001:db8::1]:8443/push"},
		{"slashes at the end", "https://push.example.com//", 0, false, "https://push.example.com"},
		{"slashes all over", "https://push.example.com//push//x//", 0, false, "https://push.example.com/push/x"},
		{"a port too high", "push.example.com:65536", 0, false, "after the colon want a port from 1 to 65535"},
		{"a port of nought", "push.example.com:0", 0, false, "after the colon want a port from 1 to 65535"},
		{"a port too high in a URL", "https://push.example.com:70000", 0, false, "after the colon want a port from 1 to 65535"},
		{"no port after the colon", "https://push.example.com:", 0, false, "after the colon want a port from 1 to 65535"},
		{"a password without a scheme", "admin:s3cret@push.example.com", 0, false, "must not carry a name or a password"},
		{"a password that is no URL", "https://admin:s3%zzcret@push.example.com", 0, false, "must not carry a name or a password"},
		{"a password with an encoded sign", "admin:s3cret%40push.example.com", 0, false, "must not carry a name or a password"},
		{"a password where the host is missing", "https://admin:s3cret", 0, false, "want a host, or a URL"},
		{"an empty label", "push..example.com", 0, false, "want a host, or a URL"},
		{"a space", "push example", 0, false, "want a host, or a URL"},
		{"a control", "push\x1b[2J", 0, false, "want a host, or a URL"},
		{"two ports", "push.example.com:1", 2, false, "both name a port"},
		{"two ports in a URL", "http://push.example.com:1", 2, false, "both name a port"},
		{"a password in the URL", "https://admin:s3cret@push.example.com", 0, false, "must not carry a name or a password"},
		{"another scheme", "ftp://push.example.com", 0, false, "want http or https"},
		{"a query", "https://push.example.com?x=1", 0, false, "want a host, or a URL"},
		{"no host in the URL", "https://", 0, false, "want a host, or a URL"},
		{"no host", "", 0, false, "want a host, or a URL"},
		{"a port that is none", "localhost:s3cret", 0, false, "after the colon want a port from 1 to 65535"},
		{"a path without a scheme", "push.example.com/x", 0, false, "want a host, or a URL"},
		{"a name without a scheme", "admin@push.example.com", 0, false, "must not carry a name or a password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := endpoint{server: test.server, port: test.port}
			var got string
			base, err := e.resolve(test.customCA)
			if err == nil {
				got = base.String()
			} else {
				got = err.Error()
				if strings.Contains(got, "s3cret") {
					t.Errorf("the error shows the password: %v", err)
				}
			}
			if (err == nil && got != test.want) || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

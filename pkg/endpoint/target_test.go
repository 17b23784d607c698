// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mailpush.internal/pkg/endpoint"
)

// requested is the first line of a request to a URL, and the request as a server reads it.
func requested(t *testing.T, raw string) (line string, read *http.Request) {
	t.Helper()
	to, err := endpoint.Target(raw, true)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	request, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader("{}"))
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	var wire bytes.Buffer
	if err := request.Write(&wire); err != nil {
		t.Fatalf("%q cannot be written: %v", raw, err)
	}
	line, _, _ = strings.Cut(wire.String(), "\r\n")
	read, err = http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatalf("%q came as %q, which nobody can read: %v", raw, line, err)
	}
	return line, read
}

func TestARequestGoesToTheOrigin(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][2]string{ // the host, and the line
		"https://Hook.Example.:443/p?q=1":  {"hook.example", "POST /p?q=1 HTTP/1.1"},
		"https://hook.example:8443":        {"hook.example:8443", "POST / HTTP/1.1"},
		"http://127.0.0.1.:8080/":          {"127.0.0.1:8080", "POST / HTTP/1.1"},
		"http://[0:0::1]:80/":              {"[::1]", "POST / HTTP/1.1"},
		"http://[::ffff:10.0.0.1]:0081/":   {"10.0.0.1:81", "POST / HTTP/1.1"},
		"https://ｈｏｏｋ。example/%C3%BC":      {"hook.example", "POST /%C3%BC HTTP/1.1"},
		"https://BÜCHER.example?x[]={1|2}": {"xn--bcher-kva.example", "POST /?x[]={1|2} HTTP/1.1"},
		"https://h/a%2Fb//c/../d;e":        {"h", "POST /a%2Fb//c/../d;e HTTP/1.1"},
		// What earlier releases have taken is encoded on the way.
		"https://h/a b/ü?c d=ü": {"h", "POST /a%20b/%C3%BC?c%20d=%C3%BC HTTP/1.1"},
		"https://h/?x HTTP/1.1": {"h", "POST /?x%20HTTP/1.1 HTTP/1.1"},
	} {
		line, read := requested(t, raw)
		if line != want[1] || read.Host != want[0] {
			t.Errorf("%q is requested at %q by %q, want %q by %q", raw, read.Host, line, want[0], want[1])
		}
		if to, err := endpoint.Target(raw, true); err != nil || endpoint.Origin(to.String()) != endpoint.Origin(raw) {
			t.Errorf("%q is requested at %v, %v, which is another origin", raw, to, err)
		}
	}
}

// What is accepted is one line, with the path and the query that were meant.
func FuzzRequestLine(f *testing.F) {
	for _, raw := range []string{
		"https://h/", "https://h?", "https://h/a b", "https://h/?q HTTP/1.1", "https://h/%0d%0aX:y", "https://h/ü", "http://[::1]:80//x/%2f",
		"https://h/?%zz", "https://h/\\x", "https://h//", "https://h/*", "https://h/a?b?c#", "https://h/\u2028", "http://１.2.3.4/%",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		meant, err := url.Parse(raw)
		if err != nil || endpoint.CheckURL(raw, true) != nil {
			return
		}
		line, read := requested(t, raw)
		if strings.Count(line, " ") != 2 || strings.ContainsAny(line, "\r\n") || !strings.HasSuffix(line, " HTTP/1.1") {
			t.Errorf("%q is requested by %q", raw, line)
		}
		if path := max(meant.Path, "/"); read.URL.Path != path || read.URL.RawQuery != meant.RawQuery {
			t.Errorf("%q comes as path %q and query %q", raw, read.URL.Path, read.URL.RawQuery)
		}
		if at := read.Host; endpoint.Origin(meant.Scheme+"://"+at) != endpoint.Origin(raw) {
			t.Errorf("%q is requested at %q, which is another origin", raw, at)
		}
	})
}

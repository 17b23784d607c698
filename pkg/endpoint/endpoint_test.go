// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"mailpush.internal/pkg/endpoint"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://h/":                   "",
		"https://h":                    "",
		"HTTPS://Hook.Example.:443/p":  "",
		"https://h:8443/p?q=1":         "",
		"https://[::1]:1/":             "",
		"https://my_host.internal/":    "",
		"https://bücher.example/":      "",
		"https://b%C3%BCcher.example/": "",
		"https://ｈｏｏｋ。example/":        "",
		"":                             "must be an absolute https URL",
		"/path":                        "must be an absolute https URL",
		"hook.example":                 "must be an absolute https URL",
		"ftp://h/":                     "must be an absolute https URL",
		"http://h/":                    "must be https; http is not allowed here",
		"https:///p":                   "has no host",
		"https:h":                      "has no host",
		"https://:443/":                "has no host",
		"https://./":                   "has no host",
		"https://h..":                  "has no valid host",
		"https://a..b/":                "has no valid host",
		"https://h%25x/":               "has no valid host",
		"https://h!x/":                 "has no valid host",
		"https://%ff.example/":         "has no valid host",
		"https://\u200d.example/":      "has no valid host",
		"https://[fe80::1%25eth0]/":    "has no valid host",
		"https://" + label(64) + "/":   "has no valid host",
		"https://" + name(254) + "/":   "has no valid host",
		"https://" + name(253) + "./":  "",
		"https://h:/":                  "has no valid port",
		"https://h:0/":                 "has no valid port",
		"https://h:65536/":             "has no valid port",
		"https://u:p@h/":               "must not carry user info",
		"https://u@h/":                 "must not carry user info",
		"https://h/#f":                 "must not carry a fragment",
		"https://h/#":                  "must not carry a fragment",
		"https://h/%zz":                "is not a URL",
		"https://127.0.0.1./":          "",
		"https://127.1/":               "has no valid host",
		"https://127.0.0.01/":          "has no valid host",
		"https://2130706433/":          "has no valid host",
		"https://0x7f.0.0.1/":          "has no valid host",
		"https://127.0.0.0x1/":         "has no valid host",
		"https://[::1.]/":              "is not a URL",
		"https://4.example/":           "",
		"https://h/%C3%BC?q=%20":       "",
		"https://h/a|b?c[d]={e}":       "",
		"https://h/\nx":                "must not hold a control character",
		"https://h/a\x7f":              "must not hold a control character",
		"https://h/?a\tb":              "must not hold a control character",
		"https://h/\r\nX-A:b":          "must not hold a control character",
		"https://h/ HTTP/1.1":          "must not hold a space; write %20",
		"https://h/?q HTTP/1.1":        "must not hold a space; write %20",
		"https://h/ ":                  "must not hold a space; write %20",
		" https://h/":                  "must not hold a space; write %20",
		"https://exa mple.org":         "must not hold a space; write %20",
		"https://h/b\u00fccher":        "must have letters beyond ASCII percent-encoded in its path and query",
		"https://h/?\u00fc":            "must have letters beyond ASCII percent-encoded in its path and query",
		"https://b\u00fccher?\u00fc":   "must have letters beyond ASCII percent-encoded in its path and query",
		"https://h/\u200b":             "must have letters beyond ASCII percent-encoded in its path and query",
		"https://h/\xff":               "is not UTF-8",
		"https://\xff/":                "is not UTF-8",
		"https://[::1/":                "is not a URL",
		"https://[hook.example]/":      "is not a URL",
		"https://h:port/":              "is not a URL",
	} {
		err := endpoint.CheckURL(raw, false)
		if (want == "") != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("CheckURL(%.40q) = %v, want %q", raw, err, want)
		}
	}
	if err := endpoint.CheckURL("http://h/", true); err != nil {
		t.Error(err)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 3000)
	for want, ways := range map[string][]string{
		"https://hook.example:443": {
			"https://hook.example/path?token=t", "HTTPS://Hook.Example:443/other", "https://hook.example./",
			"https://hook.example.:443", "https://hook.example:/", "https://hook.example:0443",
			"https://user@hook.example", "https://ｈｏｏｋ.example/", "https://HOOK。example。/",
			"https://%EF%BD%88ook.example/",
		},
		"https://hook.example:8443":         {"https://hook.example.:8443"},
		"https://my_host:443":               {"https://My_Host"},
		"https://xn--bcher-kva.example:443": {"https://bücher.example", "https://BÜCHER.example", "https://XN--BCHER-KVA.example"},
		"http://127.0.0.1:80":               {"http://127.0.0.1/x", "http://127.0.0.1./", "http://127。0。0。1。/", "http://[::ffff:127.0.0.1]/", "http://[::FFFF:7F00:1]:80", "http://１２７.0.0.1"},
		"https://[2001:db8::1]:9":           {"https://[2001:DB8::1]:9/", "https://[2001:db8:0:0:0:0:0:1]:9/"},
		"https://\ufffd.example:443":        {"https://%ff.example/"},
		"https://" + long[:255] + ":443":    {"https://" + long + "/"},
		"": {
			"", "%", "https:h", "https://:443", "https://h:0", "https://h:65536/", "https://h:123456/", "ftp://h/", "ftp://h:21/",
			"//h/", "h:443",
		},
	} {
		for _, raw := range ways {
			if got := endpoint.Origin(raw); got != want {
				t.Errorf("Origin(%.60q) = %.60q, want %.60q", raw, got, want)
			}
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	for _, raw := range []string{
		"https://hook.example/", "https://u@h:1/#", "http://[::ffff:1.2.3.4]:080/", "https://ｈｏｏｋ。example。", "https://%ff%25x/", "ftp://h",
	} {
		f.Add(raw)
	}
	said := []string{
		"is not a URL", "must be an absolute https URL", "must be https; http is not allowed here", "has no host", "has no valid host",
		"has no valid port", "must not carry user info", "must not carry a fragment", "must not hold a space; write %20",
		"must not hold a control character", "must have letters beyond ASCII percent-encoded in its path and query", "is not UTF-8",
	}
	f.Fuzz(func(t *testing.T, raw string) {
		origin := endpoint.Origin(raw)
		if !utf8.ValidString(origin) || len(origin) > 300 {
			t.Errorf("Origin(%q) = %q: no text for a column of 300", raw, origin)
		}
		for _, allowHTTP := range []bool{false, true} {
			err := endpoint.CheckURL(raw, allowHTTP)
			if err != nil {
				if !slices.Contains(said, err.Error()) {
					t.Errorf("CheckURL(%q) says %q: is that all ours?", raw, err)
				}
				continue
			}
			if origin == "" || endpoint.Origin(origin) != origin || endpoint.CheckURL(origin, allowHTTP) != nil {
				t.Errorf("%q is accepted, its origin %q comes to %q", raw, origin, endpoint.Origin(origin))
			}
			if !allowHTTP && !strings.HasPrefix(origin, "https://") {
				t.Errorf("%q is accepted where https is asked for", raw)
			}
		}
	})
}

func label(length int) string { return strings.Repeat("a", length) }

// name is a host name of a length, in labels.
func name(length int) string {
	return strings.Repeat(label(62)+".", 5)[:length-1] + "z"
}

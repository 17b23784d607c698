// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHoldGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		gone, endpoints int64
		want            bool
	}{
		{"one of one", 1, 1, false},
		{"nine of nine are few", 9, 9, false},
		{"ten of ten", 10, 10, true},
		{"ten of twenty", 10, 20, true},
		{"ten of fifty are a fifth, no more", 10, 50, false},
		{"eleven of fifty", 11, 50, true},
		{"150 of 1,000", 150, 1000, false},
		{"201 of 1,000", 201, 1000, true},
	} {
		if got := HoldGone(tt.gone, tt.endpoints); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 3000)
	for raw, want := range map[string]string{
		"https://hook.example/path?token=t": "https://hook.example:443",
		"HTTPS://Hook.Example:443/other":    "https://hook.example:443",
		"https://hook.example.:8443":        "https://hook.example:8443",
		"http://127.0.0.1/x":                "http://127.0.0.1:80",
		"https://[2001:DB8::1]:9/":          "https://[2001:db8::1]:9",
		"https://%ff.example/":              "https://\ufffd.example:443",
		"https://" + long + "/":             "https://" + long[:255] + ":443",
		"https://h:123456/":                 "",
		"":                                  "",
		"%":                                 "",
	} {
		if got := Origin(raw); got != want {
			t.Errorf("%.40q: %q", raw, got)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("https://hook.example/")
	f.Fuzz(func(t *testing.T, raw string) {
		if got := Origin(raw); !utf8.ValidString(got) || strings.HasPrefix(raw, "https://") && len(got) > 300 {
			t.Errorf("%q: %q", raw, got)
		}
	})
}

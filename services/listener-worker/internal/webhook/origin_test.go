// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import "testing"

func TestOriginOf(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://hook.example/path?token=t": "https://hook.example:443",
		"HTTPS://Hook.Example:443/other":    "https://hook.example:443",
		"https://hook.example./":            "https://hook.example:443",
		"https://user@hook.example":         "https://hook.example:443",
		"https://hook.example.:8443":        "https://hook.example:8443",
		"http://127.0.0.1/x":                "http://127.0.0.1:80",
		"https://[2001:DB8::1]:9/":          "https://[2001:db8::1]:9",
		"":                                  "",
		"%":                                 "",
	} {
		if got := originOf(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

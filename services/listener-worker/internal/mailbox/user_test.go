// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

import "testing"

// A mail store is told user@context, and sends it back.
func TestUsersComeBackFromAMailStore(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]User{
		"249@1":                   {Context: "1", ID: "249"},
		"anna+x@example.org@acme": {Context: "acme", ID: "anna+x@example.org"},
		"a@b%40c":                 {Context: "b@c", ID: "a"},
		"a@b@c":                   {Context: "c", ID: "a@b"},
	} {
		got, ok := ParseUser(text)
		if !ok || got != want || got.String() != text {
			t.Errorf("%q is read as %+v, %v, and written %q", text, got, ok, got)
		}
	}
	for _, text := range []string{"", "anna", "anna@", "@1", "an na@1", "anna@%"} {
		if got, ok := ParseUser(text); ok || got != (User{}) {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

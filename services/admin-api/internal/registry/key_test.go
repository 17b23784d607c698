// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeysSortNaturally(t *testing.T) {
	t.Parallel()
	want := []UserID{
		{"0", "1"}, {"1", "2"}, {"1", "10"}, {"1", "249"}, {"1", "402"}, {"1", "0402"},
		{"1", "12345678901"}, {"1", "Bob"}, {"1", "anna"}, {"1", "anna-9"}, {"1", "anna-10"},
		{"2", "1"}, {"10", "1"}, {"10-b", "1"}, {"acme", "1"},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b UserID) int { return strings.Compare(a.Key(), b.Key()) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func FuzzKeyIsUnique(f *testing.F) {
	f.Add("1", "249", "1", "0249")
	f.Add("1", "1a01", "11", "a01")
	f.Fuzz(func(t *testing.T, c1, u1, c2, u2 string) {
		a, b := UserID{c1, u1}, UserID{c2, u2}
		for _, id := range []string{c1, u1, c2, u2} {
			if !isID(id) {
				return
			}
		}
		if (a == b) != (a.Key() == b.Key()) {
			t.Errorf("keys of %v and %v: %q and %q", a, b, a.Key(), b.Key())
		}
		if len(a.Key()) > 330 {
			t.Errorf("key of %v is %d long, more than its column", a, len(a.Key()))
		}
	})
}

func isID(s string) bool {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return 0 < len(s) && len(s) <= 64 && strings.Trim(s, chars) == ""
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNaturalOrder(t *testing.T) {
	t.Parallel()
	want := []string{"", "-1", "01", "1", "2", "10", "10a", "10b", "99999999999999999999", "100000000000000000000", "a", "a2", "a2b", "a10", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, naturalCompare)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// FuzzNaturalCompare holds what sorting relies on: a total order.
func FuzzNaturalCompare(f *testing.F) {
	f.Add("9", "10", "010")
	f.Add("a1b", "a01b", "a1")
	f.Add("", "0", "\xff1")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if (naturalCompare(a, b) == 0) != (a == b) {
			t.Errorf("%q and %q compare as %d", a, b, naturalCompare(a, b))
		}
		if naturalCompare(a, b) != -naturalCompare(b, a) {
			t.Errorf("%q and %q: not antisymmetric", a, b)
		}
		if naturalCompare(a, b) <= 0 && naturalCompare(b, c) <= 0 && naturalCompare(a, c) > 0 {
			t.Errorf("%q, %q and %q: not transitive", a, b, c)
		}
	})
}

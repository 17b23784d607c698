// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/userid"
)

func TestKeysSortNaturally(t *testing.T) {
	t.Parallel()
	want := []UserID{
		{"0", "1"}, {"1", "2"}, {"1", "10"}, {"1", "249"}, {"1", "402"}, {"1", "0402"},
		{"1", "12345678901"}, {"1", "Bob"}, {"1", "anna"}, {"1", "anna!x"}, {"1", "anna#x"},
		{"1", "anna+a@example.org"}, {"1", "anna-9"}, {"1", "anna-10"}, {"1", "anna@example.org"},
		{"2", "1"}, {"10", "1"}, {"10-b", "1"}, {"acme", "1"},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b UserID) int { return strings.Compare(a.Key(), b.Key()) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// Keys are stored, and page tokens hold them: these values must never change.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	for id, want := range map[UserID]string{
		{"1", "249"}:                            "0110!032490",
		{"acme-x.y_z", "007"}:                   "acme-x.y_z!01" + "72",
		{"10", "anna-9"}:                        "02100!anna-0190",
		{"Anna", "0"}:                           "Anna!001",
		{"1", strings.Repeat("9", 64)}:          "0110!0p" + strings.Repeat("9", 64) + "0",
		{"1", "a!b"}:                            `0110!a"b`,
		{"a!b", "c"}:                            `a"b!c`,
		{"a", "b!c"}:                            `a!b"c`,
		{"1", strings.Repeat("9", 65)}:          "0110!0q0" + strings.Repeat("9", 65) + "0",
		{"1", strings.Repeat("0", 253) + "1"}:   "0110!011s" + "l",
		{"1", strings.Repeat("9", 128) + "a@b"}: "0110!0qo" + strings.Repeat("9", 128) + "0a@b",
		{"1", "a" + strings.Repeat("0", 129) + "@" + "x.y"}: "0110!a00r0@x.y",
	} {
		if got := id.Key(); got != want {
			t.Errorf("the key of %v is %q, want %q", id, got, want)
		}
	}
}

// Long numbers sort by their value, whatever the number of their digits is written as.
func TestLongNumbersSortNaturally(t *testing.T) {
	t.Parallel()
	last := ""
	for n := range userid.MaxLen {
		key := UserID{"1", strings.Repeat("5", n+1)}.Key()
		if key <= last || len(key) > MaxKey {
			t.Errorf("%d digits: %q after %q", n+1, key, last)
		}
		last = key
	}
}

func TestTheLongestKey(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("1a", userid.MaxLen/2)
	if got := len(UserID{longest, longest}.Key()); got != MaxKey {
		t.Errorf("%d, want %d", got, MaxKey)
	}
}

func FuzzKeyIsUnique(f *testing.F) {
	f.Add("1", "249", "1", "0249")
	f.Add("1", "1a01", "11", "a01")
	f.Add("a", "b!c", "a!b", "c")
	f.Add("a", "b@c", "a@b", "c")
	f.Add("1", strings.Repeat("1", 66), "1", strings.Repeat("1", 130))
	f.Fuzz(func(t *testing.T, c1, u1, c2, u2 string) {
		a, b := UserID{c1, u1}, UserID{c2, u2}
		for _, id := range []string{c1, u1, c2, u2} {
			if !userid.Valid(id) {
				return
			}
		}
		if (a == b) != (a.Key() == b.Key()) {
			t.Errorf("keys of %v and %v: %q and %q", a, b, a.Key(), b.Key())
		}
		if len(a.Key()) > MaxKey {
			t.Errorf("key of %v is %d long, more than its column", a, len(a.Key()))
		}
	})
}

// chars are those that the encoding might take for something else, and a few others.
const chars = `!"0019aq@%+-~`

func TestNoTwoUsersShareAKeyOrAName(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	random := func() string {
		id := make([]byte, 1+r.IntN(5))
		for i := range id {
			for id[i] = '"'; id[i] == '"'; {
				id[i] = chars[r.IntN(len(chars))]
			}
		}
		return string(id)
	}
	keys, names := make(map[string]UserID), make(map[string]UserID)
	for range 50_000 {
		u := UserID{random(), random()}
		if was, found := keys[u.Key()]; found && was != u {
			t.Fatalf("%v and %v have the key %q", was, u, u.Key())
		}
		if was, found := names[u.String()]; found && was != u {
			t.Fatalf("%#v and %#v are both %q", was, u, u.String())
		}
		keys[u.Key()], names[u.String()] = u, u
	}
}

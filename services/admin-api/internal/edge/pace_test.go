// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"strconv"
	"testing"
	"time"
)

func TestPacesKeepToEachLimit(t *testing.T) {
	t.Parallel()
	var p paces
	now := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	one := func(name string) limit { return limit{name, 2, 10 * time.Second} }
	all := limit{"all", 3, time.Second}
	for i, c := range []struct {
		after time.Duration
		key   string
		wait  time.Duration
	}{
		{0, "a", 0}, {0, "a", 0}, {0, "a", 10 * time.Second}, // its own limit; nothing of the other is taken for it
		{0, "b", 0}, {0, "b", time.Second}, // that of all
		{time.Second, "b", 0}, {9 * time.Second, "a", 0}, {0, "a", 10 * time.Second},
	} {
		now = now.Add(c.after)
		if got := p.take(now, one(c.key), all); got != c.wait {
			t.Errorf("%d: %s has to wait %v, want %v", i, c.key, got, c.wait)
		}
	}
}

func TestPacesForgetOldKeys(t *testing.T) {
	t.Parallel()
	var p paces
	now := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	for n := range 3 * maxPaces {
		p.take(now, limit{strconv.Itoa(n), 1, time.Hour})
		if kept := len(p.young) + len(p.old); kept > maxPaces {
			t.Fatalf("%d are kept", kept)
		}
	}
	if p.take(now, limit{strconv.Itoa(3*maxPaces - 1), 1, time.Hour}) == 0 {
		t.Error("the youngest is forgotten")
	}
}

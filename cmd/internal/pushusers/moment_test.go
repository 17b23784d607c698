// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"testing"
	"time"
)

func TestMoments(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 8, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"24h":                       now.AddDate(0, 0, -1),
		"7d":                        now.AddDate(0, 0, -7),
		"1h30m":                     now.Add(-90 * time.Minute),
		"2026-12-01":                time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		"2026-12-01T10:00:00Z":      time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC),
		"2026-12-01T10:00:00+02:00": time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC),
	} {
		var m moment
		if err := m.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := m.before(now); !got.Equal(want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "7", "d", "-1h", "-1d", "0d", "0s", "99999d", "yesterday", "2026-13-01", "2026-12-01 10:00"} {
		if err := new(moment).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	if got := new(moment).before(now); !got.IsZero() {
		t.Errorf("no moment is %s", got)
	}
}

func FuzzMoment(f *testing.F) {
	for _, text := range []string{"24h", "7d", "2026-12-01", "2026-12-01T10:00:00Z", "65535d", "-1d"} {
		f.Add(text)
	}
	now := time.Date(2026, 12, 8, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		var m moment
		if err := m.Set(text); err == nil && m.before(now).IsZero() && m.ago != 0 {
			t.Errorf("%q is accepted and means nothing", text)
		}
	})
}

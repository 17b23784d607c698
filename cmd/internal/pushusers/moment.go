// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// moment is an option that names a time: how long ago it was, a day, or RFC 3339. The zero
// value is for none.
type moment struct {
	at   time.Time
	ago  time.Duration
	text string
}

// errMoment says what a moment may look like.
var errMoment = errors.New("want how long ago, like 24h or 7d, a day in UTC, like 2026-12-01, or a time like 2026-12-01T12:00:00Z")

// String implements [pflag.Value].
func (m *moment) String() string { return m.text }

// Type implements [pflag.Value].
func (*moment) Type() string { return "time" }

// Set implements [pflag.Value].
func (m *moment) Set(text string) error {
	*m = moment{text: text}
	if ago, err := howLong(text); err == nil {
		m.ago = ago
		return nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			m.at = at
			return nil
		}
	}
	return errMoment
}

// howLong reads a duration above zero, which may also be in days.
func howLong(text string) (time.Duration, error) {
	ago, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err == nil && ago <= 0 {
		err = errMoment
	}
	return ago, err
}

// before is the time that is meant, as seen from now; zero when none is.
func (m *moment) before(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago)
	}
	return m.at
}

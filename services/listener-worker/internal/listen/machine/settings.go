// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	"mailpush.internal/pkg/backoff"
)

// maxIdleRefresh keeps IDLE under the 29 minutes of RFC 2177.
const maxIdleRefresh = 28 * time.Minute

// doubtsAllowed is how many unexplained login refusals in a row count as a
// refused credential.
const doubtsAllowed = 3

// Settings are a listener's times. Zero values get the defaults.
type Settings struct {
	// IdleRefresh is how long IDLE may stand before the mail store is asked again
	// where the folder ends; 28 minutes, and never more. It is the proof of life of
	// a connection that says nothing.
	IdleRefresh time.Duration
	// PollInterval is how often the mail store is asked where it has no IDLE; 1 minute.
	PollInterval time.Duration
	// Recheck is how long a listener that waits for hints goes without looking for itself:
	// hints may be lost; 30 minutes.
	Recheck time.Duration
	// Settle is how soon after new mail, or after opening, the mail store is asked
	// once more: mail announced to nobody between two commands is found; 5 seconds.
	Settle time.Duration
	// Linger is how long IDLE is put off for a fetch that new mail usually brings; 20 ms.
	Linger time.Duration
	// MinBackoff and MaxBackoff bound the growing wait before a reconnect; 1 second
	// and 5 minutes.
	MinBackoff, MaxBackoff time.Duration
	// Retry is how long a mail that cannot be read is left alone before the last try, when
	// no other mail waits behind it; 1 minute.
	Retry time.Duration
	// StableAfter is how long a connection must have lived to reset the wait; 5 minutes.
	StableAfter time.Duration
	// Jitter returns a random duration from 0 up to, not including, its argument.
	// Without it waits have their full length.
	Jitter func(time.Duration) time.Duration
}

// NewSettings fills in what settings leave out.
func NewSettings(s Settings) *Settings {
	s.IdleRefresh = min(orDefault(s.IdleRefresh, maxIdleRefresh), maxIdleRefresh)
	s.PollInterval = orDefault(s.PollInterval, time.Minute)
	s.Recheck = orDefault(s.Recheck, 30*time.Minute)
	s.Settle = min(orDefault(s.Settle, 5*time.Second), s.IdleRefresh)
	s.Linger = orDefault(s.Linger, 20*time.Millisecond)
	s.MinBackoff = orDefault(s.MinBackoff, time.Second)
	s.MaxBackoff = max(orDefault(s.MaxBackoff, 5*time.Minute), s.MinBackoff)
	s.Retry = orDefault(s.Retry, time.Minute)
	s.StableAfter = orDefault(s.StableAfter, 5*time.Minute)
	if s.Jitter == nil {
		s.Jitter = func(d time.Duration) time.Duration { return d }
	}
	return &s
}

// refresh spreads renewals over a tenth of the interval, so that listeners
// opened together do not renew together.
func (s *Settings) refresh() time.Duration {
	return s.IdleRefresh - s.Jitter(s.IdleRefresh/10)
}

// recheck spreads looks without a hint over a tenth of the interval.
func (s *Settings) recheck() time.Duration { return s.Recheck - s.Jitter(s.Recheck/10) }

// away is the wait before the attempt after a number of failures before this one.
func (s *Settings) away(failures int) time.Duration {
	return s.Jitter(backoff.Backoff{Min: s.MinBackoff, Max: s.MaxBackoff}.Ceiling(failures))
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d <= 0 {
		return fallback
	}
	return d
}

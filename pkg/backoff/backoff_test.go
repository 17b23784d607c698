// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package backoff_test

import (
	"math"
	"testing"
	"time"

	"mailpush.internal/pkg/backoff"
)

func TestCeilingDoublesUpToTheBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of       backoff.Backoff
		failures int
		want     time.Duration
	}{
		{backoff.Backoff{Min: time.Second, Max: 5 * time.Second}, 0, time.Second},
		{backoff.Backoff{Min: time.Second, Max: 5 * time.Second}, 2, 4 * time.Second},
		{backoff.Backoff{Min: time.Second, Max: 5 * time.Second}, 3, 5 * time.Second},
		{backoff.Backoff{Min: time.Second, Max: 5 * time.Second}, math.MaxInt, 5 * time.Second},
		{backoff.Backoff{Min: time.Second, Max: math.MaxInt64}, 80, math.MaxInt64},
		{backoff.Backoff{Min: 5 * time.Second, Max: time.Second}, 1, time.Second},
		{backoff.Backoff{}, 9, 0},
	} {
		if got := c.of.Ceiling(c.failures); got != c.want {
			t.Errorf("%+v after %d failures: %s, want %s", c.of, c.failures, got, c.want)
		}
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	of := backoff.Backoff{Min: time.Second, Max: time.Minute}
	for _, c := range []struct{ got, want time.Duration }{
		{of.Full(2, 0), 0}, {of.Full(2, 0.5), 2 * time.Second},
		{of.Half(2, 0), 2 * time.Second}, {of.Half(2, 0.5), 3 * time.Second},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

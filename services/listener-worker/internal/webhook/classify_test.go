// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/pump"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status     int
		retryAfter string
		class      pump.Class
		after      time.Duration
	}{
		{status: 200, class: pump.OK},
		{status: 202, class: pump.OK},
		{status: 204, retryAfter: "60", class: pump.OK},
		{status: 301, class: pump.Misconfigured},
		{status: 307, class: pump.Misconfigured},
		{status: 400, class: pump.PermanentItem},
		{status: 401, class: pump.Auth},
		{status: 403, class: pump.Auth},
		{status: 404, class: pump.Gone},
		{status: 405, class: pump.Misconfigured},
		{status: 408, class: pump.Retry},
		{status: 409, class: pump.Retry},
		{status: 410, class: pump.Gone},
		{status: 413, class: pump.PermanentItem},
		{status: 415, class: pump.Misconfigured},
		{status: 422, class: pump.PermanentItem},
		{status: 425, class: pump.Retry},
		{status: 429, retryAfter: "120", class: pump.Retry, after: 2 * time.Minute},
		{status: 500, class: pump.Retry},
		{status: 503, retryAfter: "Sun, 01 Nov 2026 12:00:30 GMT", class: pump.Retry, after: 30 * time.Second},
		{status: 503, retryAfter: "Sun, 01 Nov 2026 11:00:00 GMT", class: pump.Retry},
		{status: 503, retryAfter: "soon", class: pump.Retry},
		{status: 503, retryAfter: "-5", class: pump.Retry},
		{status: 503, retryAfter: "99999999999999999999", class: pump.Retry, after: 365 * 24 * time.Hour},
		{status: 599, class: pump.Retry},
		{status: 101, class: pump.Retry},
		{status: 999, class: pump.Retry},
	} {
		header := http.Header{"Retry-After": {c.retryAfter}}
		got := classify(c.status, header, now)
		if got.Class != c.class || got.After != c.after {
			t.Errorf("%d %q: %v after %v, want %v after %v", c.status, c.retryAfter, got.Class, got.After, c.class, c.after)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Nov 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if after := retryAfter(value, time.Now()); after < 0 || after > 366*24*time.Hour {
			t.Errorf("Retry-After %q: %v", value, after)
		}
	})
}

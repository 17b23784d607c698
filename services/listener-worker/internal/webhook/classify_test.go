// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// statuses is the table of result classes, whole: every status that an answer can
// have lies in exactly one of its lines.
func statuses() []struct {
	from, to int
	class    transport.Class
} {
	return []struct {
		from, to int
		class    transport.Class
	}{
		{100, 199, transport.Retry}, // no final answer
		{200, 299, transport.OK},
		{300, 399, transport.Misconfigured},
		{400, 400, transport.PermanentItem},
		{401, 401, transport.Auth},
		{402, 402, transport.Misconfigured},
		{403, 403, transport.Auth},
		{404, 404, transport.Gone},
		{405, 407, transport.Misconfigured}, // of a proxy in front, too: its keys are not ours
		{408, 409, transport.Retry},
		{410, 410, transport.Gone},
		{411, 412, transport.Misconfigured},
		{413, 413, transport.PermanentItem},
		{414, 420, transport.Misconfigured},
		{421, 421, transport.Retry}, // another connection may lead to the right server
		{422, 422, transport.PermanentItem},
		{423, 425, transport.Retry},
		{426, 428, transport.Misconfigured},
		{429, 429, transport.Retry},
		{430, 499, transport.Misconfigured},
		{500, 999, transport.Retry},
	}
}

func TestClassOfEveryStatus(t *testing.T) {
	t.Parallel()
	next := 100
	for _, line := range statuses() {
		if line.from != next || line.to < line.from {
			t.Fatalf("the table goes on at %d, want %d", line.from, next)
		}
		next = line.to + 1
		for status := line.from; status <= line.to; status++ {
			if got := classify(status, nil, time.Now()); got.Class != line.class || got.After != 0 || got.Detail == "" {
				t.Errorf("%d: %+v, want %v", status, got, line.class)
			} else if got.Final != (status == 410) { // 404 is no word for good
				t.Errorf("%d: final %v", status, got.Final)
			}
		}
	}
	if next != 1000 {
		t.Errorf("the table ends before %d", next)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		value  string
		after  time.Duration
	}{
		// Seconds.
		{429, "120", 2 * time.Minute},
		{503, "0", 0},
		{503, "007", 7 * time.Second},
		{503, "31535999", year - time.Second},
		{503, "31536000", year},
		{503, "99999999999999999999", year},
		// A date, in the form to write and the two to read (RFC 9110 section 5.6.7).
		{503, "Sun, 01 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{503, "Sunday, 01-Nov-26 12:00:30 GMT", 30 * time.Second},
		{503, "Sun Nov  1 12:00:30 2026", 30 * time.Second},
		{503, "Sun, 01 Nov 2026 11:00:00 GMT", 0},
		{503, "Fri, 31 Dec 9999 23:59:59 GMT", year},
		// Neither.
		{503, "", 0},
		{503, "soon", 0},
		{503, "-5", 0},
		{503, "+5", 0},
		{503, "1.5", 0},
		{503, "120, 240", 0},
		{503, "2026-11-01T12:00:30Z", 0},
		// It counts with every answer but an acceptance.
		{413, "60", time.Minute},
		{404, "60", time.Minute},
		{401, "60", time.Minute},
		{301, "60", time.Minute},
		{204, "60", 0},
	} {
		if got := classify(c.status, http.Header{"Retry-After": {c.value}}, now); got.After != c.after {
			t.Errorf("%d %q: after %v, want %v", c.status, c.value, got.After, c.after)
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"time"

	"mailpush.internal/pkg/backoff"
)

// streak counts the short lives in a row.
type streak struct{ n int }

// add takes in how long a process has lived.
func (s *streak) add(lived, recovered time.Duration) {
	if lived >= recovered {
		s.n = 0
		return
	}
	s.n++
}

// pause is how long to wait before the next process; draw is from [0, 1). A crash after a
// long life is one of its kind: the next process begins at once.
func (s *streak) pause(restarts backoff.Backoff, draw float64) time.Duration {
	if s.n == 0 {
		return 0
	}
	return restarts.Half(s.n-1, draw)
}

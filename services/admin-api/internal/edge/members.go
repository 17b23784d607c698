// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"sync/atomic"
)

// rememberingScheduler remembers which workers were live when the scheduler was last asked:
// while etcd is away no scheduler can say, and what runs goes on where it is.
type rememberingScheduler struct {
	Scheduler

	members atomic.Pointer[Members]
}

// Members implements [Scheduler].
func (s *rememberingScheduler) Members(ctx context.Context) (Members, error) {
	members, err := s.Scheduler.Members(ctx)
	if err == nil {
		s.members.Store(&members)
	}
	return members, err
}

// last is the last answer; nobody when there was none.
func (s *rememberingScheduler) last() Members {
	if members := s.members.Load(); members != nil {
		return *members
	}
	return Members{}
}

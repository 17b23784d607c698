// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"strings"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	suspendTimeout = 10 * time.Second
	maxReason      = 512 // bytes, by the registry's rules
)

// suspension is a credential that the mail store has refused.
type suspension struct {
	user    mailbox.User
	version uint64
	reason  string
}

// suspensions are told to the registry one after the other, each until it is taken
// or the user is no more ours.
type suspensions struct {
	waiting []suspension
	telling bool
}

// suspend has the registry told.
func (m *membership) suspend(s suspension) {
	m.waiting = append(m.waiting, s)
	m.tellNext(0)
}

// tellNext tells the registry of the first suspension that waits.
func (m *membership) tellNext(failures int) {
	for !m.telling && len(m.waiting) > 0 {
		next := m.waiting[0]
		claim, ours := m.claimOf(next.user)
		if !ours {
			m.waiting = m.waiting[1:]
			continue
		}
		m.telling = true
		m.loop.Go(func() {
			ctx, cancel := context.WithTimeout(m.ctx, suspendTimeout)
			err := m.registry.SuspendCredential(ctx, claim, next.user, next.version, reasonOf(next.reason))
			cancel()
			if retry := err != nil && worthRetrying(err); retry {
				pause(m.ctx, away(failures+1))
			}
			m.loop.Post(func() { m.told(next, failures, err) })
		})
	}
}

func (m *membership) told(s suspension, failures int, err error) {
	m.telling = false
	if err == nil {
		m.suspending.Worked(m.ctx)
	} else {
		m.suspending.Failed(m.ctx, err, "context_id", s.user.Context, "user_id", s.user.ID)
	}
	if err != nil && worthRetrying(err) {
		m.tellNext(failures + 1)
		return
	}
	m.waiting = m.waiting[1:]
	m.tellNext(0)
}

// claimOf is the claim a user's mailbox is held by.
func (m *membership) claimOf(user mailbox.User) (hold.Claim, bool) {
	number := shard.Of(user.Context, user.ID, m.cfg.Shards)
	for _, backend := range m.cfg.Backends {
		if s := m.shards[shard.ID{Backend: backend, Number: number}]; s != nil {
			if _, here := s.boxes.find(user); here {
				return s.claim, true
			}
		}
	}
	return hold.Claim{}, false
}

// worthRetrying tells whether the same call may succeed later.
func worthRetrying(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Precondition, fault.Denied:
		return false
	default:
		return true
	}
}

// reasonOf fits a mail store's words to the registry's rules.
func reasonOf(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	reason = strings.ToValidUTF8(reason, "")
	if reason == "" {
		return "the mail store refused the credential"
	}
	return reason
}

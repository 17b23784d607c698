// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"strings"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	hash "mailpush.internal/pkg/shard"
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
func (t *tenure) suspend(s suspension) {
	t.waiting = append(t.waiting, s)
	t.tellNext(0)
}

// tellNext tells the registry of the first suspension that waits.
func (t *tenure) tellNext(failures int) {
	for !t.telling && len(t.waiting) > 0 {
		next := t.waiting[0]
		claim, ours := t.claimOf(next.user)
		if !ours {
			t.waiting = t.waiting[1:]
			continue
		}
		t.telling = true
		t.work.Go(func() {
			ctx, cancel := context.WithTimeout(t.ctx, suspendTimeout)
			err := t.registry.SuspendCredential(ctx, claim, next.user, next.version, reasonOf(next.reason))
			cancel()
			if retry := err != nil && worthRetrying(err); retry {
				pause(t.ctx, backoff(failures+1))
			}
			t.post(func() { t.told(next, failures, err) })
		})
	}
}

func (t *tenure) told(s suspension, failures int, err error) {
	t.telling = false
	if err != nil {
		t.cfg.Log.WarnContext(t.ctx, "a refused credential could not be marked",
			"context_id", s.user.Context, "user_id", s.user.ID, "error", err)
	}
	if err != nil && worthRetrying(err) {
		t.tellNext(failures + 1)
		return
	}
	t.waiting = t.waiting[1:]
	t.tellNext(0)
}

// claimOf is the claim a user's mailbox is held by.
func (t *tenure) claimOf(user mailbox.User) (hold.Claim, bool) {
	number := hash.Of(user.Context, user.ID, t.cfg.Shards)
	for _, backend := range t.cfg.Backends {
		if s := t.shards[place{backend, number}]; s != nil {
			if _, here := s.boxes[user]; here {
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

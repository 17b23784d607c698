// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"sync"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/credential-vault/internal/seal"
)

const (
	// AuditLife is how long audit entries are kept.
	AuditLife = 90 * 24 * time.Hour
	// pruneEvery is how often older ones are removed.
	pruneEvery = 24 * time.Hour
)

// Purpose is who opens a credential, and why.
type Purpose struct {
	Caller, Reason string
}

// Entry is one opening, or a refusal of one. It names whose credential it was, never
// what was in it.
type Entry struct {
	At      time.Time
	Owner   seal.Owner
	Purpose Purpose
	Version uint64 // 0 when there was none
	Outcome string // opened, or why not
}

// Audit keeps entries for [AuditLife].
type Audit interface {
	// Write stores all of the entries before it returns, in one transaction, or none.
	Write(ctx context.Context, entries []Entry) error
	// Prune removes entries older than before.
	Prune(ctx context.Context, before time.Time) error
}

func outcome(refusal error) string {
	switch {
	case refusal == nil:
		return "opened"
	case fault.KindOf(refusal) == fault.NotFound:
		return "not found"
	case fault.KindOf(refusal) == fault.Precondition:
		return "not allowed"
	default:
		return "does not open"
	}
}

// Run keeps the audit until ctx ends: it stores the entries, without which nothing opens,
// and removes old ones. It is called once.
func (v *Vault) Run(ctx context.Context) error {
	var pruning sync.WaitGroup
	defer pruning.Wait()
	pruning.Go(func() { v.prune(ctx) })
	v.journal.keep(ctx)
	return nil
}

// prune removes old audit entries, now and daily. An error is logged and the next day
// tries again.
func (v *Vault) prune(ctx context.Context) {
	daily := time.NewTicker(pruneEvery)
	defer daily.Stop()
	for {
		err := v.audit.Prune(ctx, v.now().Add(-AuditLife))
		if err != nil && ctx.Err() == nil {
			v.log.WarnContext(ctx, "audit entries could not be pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-daily.C:
		}
	}
}

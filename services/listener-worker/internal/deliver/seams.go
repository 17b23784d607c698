// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Secrets gives out the keys that sign pushes, and what else of them is secret. An error of kind fault.NotFound means
// that there is none; any other may mend.
type Secrets interface {
	SigningSecret(ctx context.Context, user mailbox.User, subscription string, slot uint32) (secret.String, error)
	// Headers gives out what the pushes carry besides.
	Headers(ctx context.Context, user mailbox.User, subscription string, slot uint32) (*transport.Headers, error)
}

// Registry keeps cursors, knows who holds a shard, and decides what becomes of
// subscriptions. A claim that a newer epoch has fenced is refused.
type Registry interface {
	// CommitCursors stores cursors, those of the claims it returns excepted.
	CommitCursors(ctx context.Context, cursors map[hold.Claim][]Served) (refused []hold.Claim, err error)
	// OpenEpoch opens the claims' epochs, which changes nothing when they are the newest.
	OpenEpoch(ctx context.Context, claims []hold.Claim) (refused []hold.Claim, err error)
	// ReportEndpoints tells what endpoints have come to, at most MaxReports of them. It
	// returns what became of their subscriptions, in the order of the reports.
	ReportEndpoints(ctx context.Context, reports []EndpointReport) ([]Verdict, error)
}

// Mailboxes reads mail; the answer comes as Loop.Fetched.
type Mailboxes interface {
	Fetch(user mailbox.User, from uint32, detail mailbox.Detail)
}

// claimSet is a set of claims.
type claimSet map[hold.Claim]bool

func setOf(claims []hold.Claim) claimSet {
	set := make(claimSet, len(claims))
	for _, claim := range claims {
		set[claim] = true
	}
	return set
}

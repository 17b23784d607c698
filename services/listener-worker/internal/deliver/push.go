// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/pump"
)

// Claim is the right to act for a shard.
type Claim = hold.Claim

// claimSet is a set of claims.
type claimSet map[Claim]bool

func setOf(claims []Claim) claimSet {
	set := make(claimSet, len(claims))
	for _, claim := range claims {
		set[claim] = true
	}
	return set
}

// Push is one request to one endpoint.
type Push struct {
	Subscription string
	URL          string
	Secret       secret.String // one, or two with a space between them, the newest first
	Content      mailv1.Content
	User         listen.User
	Folder       string
	Batch        pump.Batch
}

// Transport carries pushes. Its methods block until the endpoint has answered, the
// transport's own time-out has passed or ctx ends; they are called concurrently.
type Transport interface {
	// Send announces a batch.
	Send(ctx context.Context, push Push) pump.Result
	// Ping asks whether the endpoint wants pushes; the batch does not matter.
	Ping(ctx context.Context, push Push) pump.Result
	// Test shows that pushes arrive; the batch does not matter.
	Test(ctx context.Context, push Push) pump.Result
}

// Secrets gives out the keys that sign pushes. An error of kind fault.NotFound means
// that there is none; any other may mend.
type Secrets interface {
	SigningSecret(ctx context.Context, user listen.User, subscription string, slot uint32) (secret.String, error)
}

// Registry keeps cursors, knows who holds a shard, and decides what becomes of
// subscriptions. A claim that a newer epoch has fenced is refused.
type Registry interface {
	// CommitCursors stores cursors, those of the claims it returns excepted.
	CommitCursors(ctx context.Context, cursors map[Claim][]Cursor) (refused []Claim, err error)
	// OpenEpoch opens the claims' epochs, which changes nothing when they are the newest.
	OpenEpoch(ctx context.Context, claims []Claim) (refused []Claim, err error)
	// ReportEndpoints tells what endpoints have come to, at most MaxReports of them. It
	// returns what became of their subscriptions, in the order of the reports.
	ReportEndpoints(ctx context.Context, reports []Report) ([]Verdict, error)
}

// Mailboxes reads mail; the answer comes as Loop.Fetched.
type Mailboxes interface {
	Fetch(user listen.User, from uint32)
}

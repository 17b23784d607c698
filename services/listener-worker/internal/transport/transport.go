// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package transport has the words in which deliveries and the ways to endpoints speak of
// pushes, and the seam between the two: a [Transport] for each [Kind] of [Target].
// Invariant: what the loop of deliveries does depends on what a transport says of itself,
// never on which one it is.
package transport

import (
	"context"

	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Kind is a way to reach endpoints, as listings and metrics name it.
type Kind string

// Target is where the pushes of a subscription go. Two targets are the same endpoint
// when they are equal.
type Target struct {
	// Kind says which transport reaches it.
	Kind Kind
	// Address is where it is, in the transport's own terms, such as a URL. It may hold a
	// secret: no log, result or metric shows it.
	Address string
}

// Purpose is what a push is for.
type Purpose int

// The purposes.
const (
	// Announce tells of the batch.
	Announce Purpose = iota
	// Ask asks whether the endpoint wants pushes, and says nothing of any mailbox.
	Ask
	// Try shows that pushes arrive, and announces no mail.
	Try
	// End says that the subscription ends and that nothing follows.
	End
)

// Push is one request to one endpoint.
type Push struct {
	// Purpose is what it is for; the batch counts for Announce alone.
	Purpose Purpose
	// Reason is why the subscription ends, for End.
	Reason string
	// Subscription is the name of the subscription.
	Subscription string
	// Target is where the push goes.
	Target Target
	// Secret signs it, where the transport signs: one secret, or two with a space between
	// them, the newest first.
	Secret secret.String
	// Headers go with it, where the transport has headers.
	Headers *Headers
	// Content is how much of each mail it says.
	Content mailv1.Content
	// User is whose mailbox it is about.
	User mailbox.User
	// Folder is the folder it is about.
	Folder string
	// Batch is what it announces.
	Batch Batch
}

// DetailOf is how much of each mail has to be read for a push of a content level. The level
// that tells of the state alone counts the mails, which only reading their UIDs does: the
// end of a folder counts those that are gone as well.
func DetailOf(content mailv1.Content) mailbox.Detail {
	switch content {
	case mailv1.Content_CONTENT_STATE, mailv1.Content_CONTENT_IDS:
		return mailbox.UIDs
	case mailv1.Content_CONTENT_ENVELOPE, mailv1.Content_CONTENT_READ, mailv1.Content_CONTENT_UNSPECIFIED:
	}
	return mailbox.Envelopes
}

// Transport reaches endpoints of one kind. It is safe for concurrent use.
type Transport interface {
	// Send makes one request. It blocks until the endpoint has answered, the transport's
	// own time-out has passed or ctx ends.
	Send(ctx context.Context, push Push) Result
	// Origin names what fails together with the endpoint: its server, not the endpoint.
	// It shows no secret.
	Origin(target Target) string
	// Asks tells whether an endpoint has to say that it wants pushes before it gets any.
	Asks() bool
	// Signs tells whether a push needs the subscription's signing secret.
	Signs() bool
}

// Table has the transports there are.
type Table map[Kind]Transport

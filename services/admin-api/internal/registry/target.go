// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"mailpush.internal/pkg/endpoint"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// Transport is how pushes get to their target. Its name is stored, and shown in
// listings.
type Transport string

// Webhook posts to an HTTP endpoint.
const Webhook Transport = "webhook"

// Target is where the pushes of a subscription go.
type Target struct {
	Transport Transport
	Address   string // of a form that the transport knows; it may be secret
}

// transport is what differs from one to another.
type transport struct {
	// origin is what endpoints share that fail together; it is fit to be shown.
	origin func(address string) string
	// wire is the target as workers are told of it.
	wire func(address string) *mailv1.Target
}

func transports() map[Transport]transport {
	return map[Transport]transport{
		Webhook: {
			origin: endpoint.Origin,
			wire: func(url string) *mailv1.Target {
				return &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}}
			},
		},
	}
}

// Origin is what the target shares with those that fail together with it, without what
// may be secret. It is empty where there is none, and at most 300 bytes.
func (t Target) Origin() string {
	if known, ok := transports()[t.Transport]; ok {
		return known.origin(t.Address)
	}
	return ""
}

// Wire is the target as a message; nil when this release does not know its transport:
// a later one has stored it.
func (t Target) Wire() *mailv1.Target {
	if known, ok := transports()[t.Transport]; ok {
		return known.wire(t.Address)
	}
	return nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Webhook is the kind of HTTP endpoints.
const Webhook Kind = "webhook"

// Subscription is a place pushes go to: what the registry says of it, and its target.
// There is one for every mailbox and more; it holds what is needed of the registry's
// message, which is several times as large.
type Subscription struct {
	// ID is the name of the subscription.
	ID string
	// Target is where the pushes go. Its kind is empty when the registry names one that
	// this release does not know.
	Target Target
	// Cursors are how far it has been served, per folder.
	Cursors []Cursor
	// SecretVersion grows with each new signing secret, Replay with each replay, and
	// Revision with each renewed Subscribe, each new secret, and when it is enabled.
	SecretVersion, Replay, Revision uint64
	// PreviousSecretUntil is until when the secret before signs, too, and FailingSince
	// since when the endpoint has been failing: UNIX times in nanoseconds, zero without.
	PreviousSecretUntil, FailingSince int64
	// AbsentSince is since when it has said nothing but that it is not there, AbsentSeen when
	// it did last, as far as is known.
	AbsentSince, AbsentSeen int64
	// SecretSlot and PreviousSecretSlot are where the secrets are in the vault.
	SecretSlot, PreviousSecretSlot uint32
	// HeaderSlot is where the headers of its pushes are in the vault; 0 when it has none.
	HeaderSlot uint32
	// Content is how much of each mail a push carries, Mode how mails become pushes.
	Content mailv1.Content
	Mode    mailv1.Mode
	// Confirmed is true when the endpoint has said that it wants pushes.
	Confirmed bool
}

// Cursor is how far a subscription has been served in a folder.
type Cursor struct {
	Folder string
	mailbox.Cursor
}

// SubscriptionOf reads a subscription as the registry lists it.
func SubscriptionOf(listed *registryv1.Subscription) *Subscription {
	return &Subscription{
		ID:                  listed.GetId(),
		Target:              TargetOf(listed),
		Cursors:             cursorsOf(listed.GetCursors()),
		SecretVersion:       listed.GetSecretVersion(),
		Replay:              listed.GetReplay(),
		Revision:            listed.GetRevision(),
		PreviousSecretUntil: listed.GetPreviousSecretUntil().AsTime().UnixNano(),
		FailingSince:        listed.GetFailingSince().AsTime().UnixNano(),
		AbsentSince:         listed.GetAbsentSince().AsTime().UnixNano(),
		AbsentSeen:          listed.GetAbsentSeen().AsTime().UnixNano(),
		SecretSlot:          listed.GetSecretSlot(),
		PreviousSecretSlot:  previousSlot(listed),
		HeaderSlot:          listed.GetHeaderSlot(),
		Content:             listed.GetContent(),
		Mode:                listed.GetMode(),
		Confirmed:           listed.GetConfirmed(),
	}
}

// previousSlot is where the secret before the current one is. A registry of an earlier
// release does not say: it knows the slots 0 and 1 only.
func previousSlot(listed *registryv1.Subscription) uint32 {
	if listed.PreviousSecretSlot != nil {
		return listed.GetPreviousSecretSlot()
	}
	return 1 - listed.GetSecretSlot()
}

func cursorsOf(listed []*mailv1.Cursor) []Cursor {
	out := make([]Cursor, len(listed))
	for i, cursor := range listed {
		out[i] = Cursor{cursor.GetFolder(), mailbox.Cursor{UIDValidity: cursor.GetUidValidity(), UID: cursor.GetUid()}}
		if out[i].Folder == mailbox.Inbox {
			out[i].Folder = mailbox.Inbox // one text for all
		}
	}
	return out
}

// located is what a message says of where pushes go.
type located interface {
	GetTarget() *mailv1.Target
	GetWebhookUrl() string
}

// TargetOf reads where pushes go. An admin-api of the release before names no target:
// it has webhooks only.
func TargetOf(message located) Target {
	if message.GetTarget() == nil {
		return Target{Webhook, message.GetWebhookUrl()}
	}
	switch kind := message.GetTarget().GetKind().(type) {
	case *mailv1.Target_Webhook:
		return Target{Webhook, kind.Webhook.GetUrl()}
	default:
		return Target{}
	}
}

// SubscriptionsOf reads subscriptions as the registry lists them.
func SubscriptionsOf(listed []*registryv1.Subscription) []*Subscription {
	out := make([]*Subscription, len(listed))
	for i, subscription := range listed {
		out[i] = SubscriptionOf(subscription)
	}
	return out
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import "time"

// HistoryEntry is one thing that has happened to a user. It is stored in the transaction
// that makes it so, and outlives the user's registrations.
type HistoryEntry struct {
	UserID
	Kind         HistoryKind
	Actor        Actor
	Client       string // empty when it is about none
	Subscription string // empty when it is about none, or several
	// Reason is why, or what has changed, for people. It holds no secret and nothing of a
	// mail, and of a target its origin alone.
	Reason string
	// Merge is what entries have in common of which the last of a day is enough: a folder
	// that is renumbered again and again must not drive out what else has happened. One
	// without it stands for itself.
	Merge string
	At    time.Time
	ID    string // its place among those of one moment
}

// Place is where the entry stands in a listing.
func (e HistoryEntry) Place() Place { return Place{At: e.At.UnixMicro(), ID: e.ID} }

const (
	// HistoryLength is how many entries are kept of a user: the newest.
	HistoryLength = 200
	// HistoryKept is for how long an entry is kept.
	HistoryKept = 90 * 24 * time.Hour
)

// HistoryKind is what can happen to a user, as it is stored.
type HistoryKind string

// What can happen to a user.
const (
	Subscribed           HistoryKind = "subscribed"
	TargetChanged        HistoryKind = "target_changed"
	SecretRotated        HistoryKind = "secret_rotated"
	EndpointConfirmed    HistoryKind = "endpoint_confirmed"
	SubscriptionDisabled HistoryKind = "subscription_disabled"
	SubscriptionEnabled  HistoryKind = "subscription_enabled"
	SubscriptionRestored HistoryKind = "subscription_restored"
	SubscriptionEnded    HistoryKind = "subscription_ended"
	Replayed             HistoryKind = "replayed"
	DeadLettersMade      HistoryKind = "dead_letters"
	MailboxReset         HistoryKind = "mailbox_reset"
	LoginChanged         HistoryKind = "login_changed"
	LoginSuspended       HistoryKind = "login_suspended"
	StoreChanged         HistoryKind = "store_changed"
	UserDisabled         HistoryKind = "user_disabled"
	UserEnabled          HistoryKind = "user_enabled"
	UserRemoved          HistoryKind = "user_removed"
)

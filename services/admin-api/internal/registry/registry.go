// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package registry holds the words of the registry: who is registered for
// pushes, where the pushes go and how far each has been served. It knows neither
// SQL nor RPC, so that the decision, the flows and the store speak of the same
// things.
package registry

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// Cells is how finely users are spread: a user's cell is its shard at the
// highest resolution. Shards of any coarser count are ranges of cells, which is
// why doubling the shards rewrites no row and moves nobody.
const Cells = 1 << 31

// UserID names one mailbox owner.
type UserID struct {
	Context, User string
}

// String writes the user as user@context; see [userid.Join].
func (u UserID) String() string { return userid.Join(u.User, u.Context) }

// Cell is the user's shard among Cells.
func (u UserID) Cell() uint32 { return shard.Of(u.Context, u.User, Cells) }

// ShardOf is the number of the user's shard among shards, a power of two.
func ShardOf(u UserID, shards uint32) uint32 { return shard.Of(u.Context, u.User, shards) }

// CredentialState says whether the user's mailbox can be opened.
type CredentialState string

const (
	// CredentialNone means that no login is stored.
	CredentialNone CredentialState = "none"
	// CredentialStored means that a login is stored and not known to be wrong.
	CredentialStored CredentialState = "stored"
	// CredentialSuspended means that the mail store refused the stored login; only
	// a new one ends this.
	CredentialSuspended CredentialState = "suspended"
)

// CredentialKind says what the stored login needs besides itself.
type CredentialKind string

const (
	// KindPassword is a login with its own password.
	KindPassword CredentialKind = "password"
	// KindMaster is a login that the operator's master user opens.
	KindMaster CredentialKind = "master"
	// KindDoveadm is a name that doveadm opens; nothing of it is in the vault.
	KindDoveadm CredentialKind = "doveadm"
)

// Credential is what the registry knows of a login; the login is in the vault.
type Credential struct {
	State  CredentialState
	Kind   CredentialKind
	Reason string // why it is suspended
	// Version grows with each new login; it comes from the vault.
	Version uint64
	// Slot is where it is; see MailAccount.
	Slot uint32
}

// User is one mailbox owner with at least one registration, or who is disabled.
type User struct {
	UserID
	Enabled    bool
	Disabling  Disabling // zero while it is enabled
	Store      string    // the mail store's name; empty when never said
	Credential Credential
	Doveadm    string   // what doveadm is asked for; empty means by the operator's rule
	Clients    []string // the registered clients, ascending
}

// Disabling is why nothing is done for a user.
type Disabling struct {
	Reason string // empty when nobody has said
	At     time.Time
	By     Actor
}

// Registration is a client of a user with at least one subscription.
type Registration struct {
	UserID
	Client    string
	CreatedAt time.Time
}

// Subscription is one place pushes go to.
type Subscription struct {
	ID string
	UserID
	Client, Device string
	Topics         []string
	Content        mailv1.Content
	Mode           mailv1.Mode
	Target         Target
	Signing        Signing
	Headers        Headers
	Endpoint       Endpoint
	// Replay grows with each replay: cursors of a lower one are not stored any more.
	Replay uint64
	// Revision grows with each renewed Subscribe, each new secret, and when the
	// subscription is enabled: reports about an earlier one change nothing.
	Revision  uint64
	Disabled  Disabled
	Cursors   []Cursor
	CreatedAt time.Time
}

// Enrolment is a subscription to be stored, with what is stored beside it.
type Enrolment struct {
	Subscription

	Before     User        // what was found when it began
	MailStore  string      // empty keeps the stored one
	Doveadm    string      // what doveadm is asked for; it goes with MailStore
	Login      string      // what the mail store knows the user as; empty keeps the stored one
	Credential *Credential // nil keeps the stored one
	Sealed     []Erasure   // reserved accounts that it names from now on
}

// BringsLogin says whether its credential is a new one, not the stored one judged anew.
func (e Enrolment) BringsLogin() bool {
	return e.Credential != nil && e.Credential.Slot > 0 && e.Credential.Slot != e.Before.Credential.Slot
}

// ErrOvertaken is the cause of what is refused because another call was faster: begun anew
// from what there is now, it may come about.
var ErrOvertaken = errors.New("overtaken")

// MaxSubscriptions is how many subscriptions a user may have. An application that makes
// up a new device at each start would add to them for ever.
const MaxSubscriptions = 100

// TooMany refuses one more.
func TooMany(u UserID) error {
	refused := fault.New(fault.Exhausted, "deviceId: user %s has %d subscriptions already; a device keeps its own when it "+
		"subscribes under the same deviceId, and gives it up by Unsubscribe", u, MaxSubscriptions)
	refused.RetryAfter = time.Hour // waiting alone does not help: whoever tries by itself must not do it often
	return refused
}

// Owned is a subscription with its user's mail store.
type Owned struct {
	Subscription

	Store string // empty when never said
}

// Signing is how pushes are signed; the secret is in the vault.
type Signing struct {
	Scheme Scheme
	// Version grows with each new signing secret.
	Version uint64
	// Slot is where the secret is; see WebhookAccount.
	Slot uint32
	// PreviousUntil is until when the secret in PreviousSlot signs, too; zero without
	// one.
	PreviousUntil time.Time
	PreviousSlot  uint32
}

// Headers are what pushes carry besides; the values are in the vault.
type Headers struct {
	// Names are their names, ascending.
	Names []string
	// Version grows with each change of them, and stays when they are taken away.
	Version uint64
	// Slot is where they are, see HeadersAccount; 0 when there are none.
	Slot uint32
}

// RotationLasts refuses to give a signing secret up before its time.
func RotationLasts(until time.Time) error {
	return fault.New(fault.Precondition, "the secret before the current one stays in force until %s; rotate again after that",
		until.UTC().Format(time.RFC3339))
}

// Scheme is a signature scheme of Standard Webhooks.
type Scheme string

const (
	// SchemeV1 is HMAC-SHA256.
	SchemeV1 Scheme = "v1"
	// SchemeV1a is ed25519.
	SchemeV1a Scheme = "v1a"
)

// Disabled is why nothing is pushed; the zero value is of a subscription that is
// pushed to.
type Disabled struct {
	Is     bool
	Reason string
	At     time.Time
	Gone   bool // because its endpoint is gone: it is deleted at KeptUntil
}

// KeptUntil is when a subscription whose endpoint is gone is deleted; zero for others.
func (d Disabled) KeptUntil() time.Time {
	if !d.Is || !d.Gone {
		return time.Time{}
	}
	return d.At.Add(GoneKept)
}

// Cursor is how far a subscription has been served in one folder.
type Cursor struct {
	Folder      string
	UIDValidity uint32
	UID         uint32
}

// Shard names a slice of the users of one backend.
type Shard = shard.ID

// Claim is a worker's right to act for a shard.
type Claim struct {
	Shard

	Epoch uint64
}

// ShardCursors are cursors of one shard, to be stored under its claim, and what was
// stepped over on the way to them.
type ShardCursors struct {
	Claim       Claim
	Cursors     []SubscriptionCursor
	DeadLetters []DeadLetter
}

// SubscriptionCursor is a cursor with the subscription it belongs to.
type SubscriptionCursor struct {
	Subscription string
	Cursor
	Replay uint64 // the replay it belongs to
	Rewind bool   // it may be below the stored one under the same UIDVALIDITY
	// ResetFrom is where it was before a mailbox:reset has moved it; zero when none has.
	ResetFrom Cursor
}

// DeadLetter is a range of mails that an endpoint would not take.
type DeadLetter struct {
	Subscription string
	UserID       // filled in by listings
	Folder       string
	UIDValidity  uint32
	First, Last  uint32 // UIDs
	Reason       string
	At           time.Time
}

// Mailbox is a user with everything that is pushed to.
type Mailbox struct {
	User
	Subscriptions []Subscription
}

// Group counts users of one shard that are alike in all the decision looks at.
type Group struct {
	Shard uint32
	Like  User // without a name; Clients holds at most one, an allowed one
	Users uint32
}

// Placement is the backend of a mail store, and since when it is that one.
type Placement struct {
	Backend string
	Since   time.Time // 1970 for as long as is known
}

// StoreUsers is how many users a mail store has.
type StoreUsers struct {
	Store string // empty where none was said
	Users int
}

// Erasure is an account that must leave the vault because nobody needs it, or must if
// nobody comes to name it.
type Erasure struct {
	UserID
	Account string
}

// Removed is what an unsubscribe or unregister took away.
type Removed struct {
	User User // as it was before
	Last bool // the user has no registration left and is gone
	// Subscriptions are those that were removed, without their cursors.
	Subscriptions []Subscription
	// Erasures are the credentials to delete from the vault; they are also stored,
	// so that a vault that is down gets rid of them later.
	Erasures []Erasure
}

// PageSize bounds a page of the listing of a shard, which holds one user at least.
type PageSize struct {
	Users, Subscriptions int
}

// Position is a place in the listing of a shard.
type Position struct {
	Cell uint32
	Key  string
}

// Compare orders as listings do.
func (p Position) Compare(other Position) int {
	return cmp.Or(cmp.Compare(p.Cell, other.Cell), cmp.Compare(p.Key, other.Key))
}

// Place is where something stands in a listing that begins with the newest.
type Place struct {
	At int64 // microseconds since 1970
	ID string
}

// MailAccount is the vault account of the user's login at the mail store in a slot.
func MailAccount(slot uint32) string { return inSlot("mail", slot) }

// WebhookAccount is the vault account of a subscription's signing secret in a slot.
func WebhookAccount(subscription string, slot uint32) string {
	return inSlot("webhook/"+subscription, slot)
}

// HeadersAccount is the vault account of a subscription's headers in a slot.
func HeadersAccount(subscription string, slot uint32) string {
	return inSlot("headers/"+subscription, slot)
}

// inSlot names a slot. What is sealed goes into one that nothing has been in: so a
// secret never takes the place of another, and what is erased is never a newer one.
func inSlot(account string, slot uint32) string {
	if slot == 0 {
		return account
	}
	return fmt.Sprintf("%s/%d", account, slot)
}

const (
	// MaxSlot is the highest slot; a column holds it.
	MaxSlot = math.MaxInt32
	// FirstSlot is the first one given out. Earlier releases take turns with 0 and 1.
	FirstSlot = 2
	// Lingers is for how long what has been replaced stays in the vault. A worker reads
	// again within 5 minutes, even when it is not told.
	Lingers = 10 * time.Minute
)

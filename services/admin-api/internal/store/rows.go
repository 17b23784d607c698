// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/hex"
	"math"

	"mailpush.internal/services/admin-api/internal/registry"
)

// The rows are the tables as GORM sees them; the tables themselves are made by
// the migrations in schema.go. Moments are integers, in microseconds since 1970: the three
// databases keep times in different precision, and pages and cursors compare them.

// userRow is a user. Its key is [registry.UserID.Key], whose order of bytes is the order of
// listings, and its cell is what shards are ranges of.
type userRow struct {
	UserKey           string `gorm:"primaryKey"`
	ContextID         string
	UserID            string
	Cell              int64
	Store             string
	CredentialState   string
	CredentialKind    string
	CredentialReason  string
	CredentialVersion int64
	CredentialSlot    int32
	DoveadmName       string
	Enabled           bool
	DisabledAt        int64
	DisabledReason    string
	DisabledBy        string
	// LoginKey and LoginPart stand for the login of LoginVersion, a CredentialVersion.
	LoginKey     string
	LoginPart    string
	LoginVersion int64
}

func (userRow) TableName() string { return "users" }

// user is the row with the clients, which are rows of their own.
func (r userRow) user(clients []string) registry.User {
	return registry.User{
		UserID:     registry.UserID{Context: r.ContextID, User: r.UserID},
		Enabled:    r.Enabled,
		Disabling:  r.disabling(),
		Store:      r.Store,
		Credential: r.credential(),
		Doveadm:    r.DoveadmName,
		Clients:    clients,
	}
}

// disabling is why nothing is done for the user.
func (r userRow) disabling() registry.Disabling {
	if r.Enabled {
		return registry.Disabling{}
	}
	return registry.Disabling{Reason: r.DisabledReason, At: moment(r.DisabledAt), By: registry.ParseActor(r.DisabledBy)}
}

// bare is the row of a user who has nothing registered any more, and is disabled still.
func (r userRow) bare() userRow {
	return userRow{
		UserKey: r.UserKey, ContextID: r.ContextID, UserID: r.UserID, Cell: r.Cell,
		CredentialState: string(registry.CredentialNone),
		DisabledAt:      r.DisabledAt, DisabledReason: r.DisabledReason, DisabledBy: r.DisabledBy,
	}
}

// credential is the stored credential. One that is stored in a slot has the state none
// in its row: replicas of a release that knows no slots would name the wrong account
// to a worker, and the user be suspended; so they take it for one without a login.
// When they store one, it is not in the slot that they leave in the row.
func (r userRow) credential() registry.Credential {
	c := registry.Credential{
		State:   registry.CredentialState(r.CredentialState),
		Kind:    registry.CredentialKind(r.CredentialKind),
		Reason:  r.CredentialReason,
		Version: unsigned(r.CredentialVersion),
		Slot:    uint32(r.CredentialSlot),
	}
	switch {
	case c.State == registry.CredentialStored:
		c.Slot = 0
	case c.State == registry.CredentialNone && c.Slot > 0:
		c.State = registry.CredentialStored
	}
	return c
}

// erasures are the accounts that the user's login may be in: an earlier release leaves
// one in slot 0.
func (r userRow) erasures() []registry.Erasure {
	id := registry.UserID{Context: r.ContextID, User: r.UserID}
	out := []registry.Erasure{{UserID: id, Account: registry.MailAccount(0)}}
	if r.CredentialSlot > 0 {
		out = append(out, registry.Erasure{UserID: id, Account: registry.MailAccount(uint32(r.CredentialSlot))})
	}
	return out
}

// inSlot is the state of a row whose credential is stored in a slot, in SQL. It says what
// [userRow.credential] says, for statements that decide without reading the row.
const inSlot = "credential_state = 'none' AND credential_slot > 0"

// with is the row with another credential, the inverse of [userRow.credential].
func (r userRow) with(c registry.Credential) userRow {
	r.CredentialState, r.CredentialKind = string(c.State), string(c.Kind)
	r.CredentialReason, r.CredentialVersion, r.CredentialSlot = c.Reason, signed(c.Version), int32(c.Slot)
	switch {
	case c.State == registry.CredentialNone:
		r.CredentialSlot = 0
	case c.State == registry.CredentialStored && c.Slot > 0:
		r.CredentialState = string(registry.CredentialNone)
	}
	return r
}

// registrationRow is a client of a user. It has no subscription's data: whether there is a
// registration is asked far more often than what it consists of.
type registrationRow struct {
	UserKey   string `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	CreatedAt int64  `gorm:"autoCreateTime:false"`
}

func (registrationRow) TableName() string { return "registrations" }

// cursorRow is a cursor, apart from its subscription's row: it is written with each push,
// the other one hardly ever.
type cursorRow struct {
	SubscriptionID string `gorm:"primaryKey"`
	FolderKey      string `gorm:"primaryKey"`
	Folder         string
	UIDValidity    int64 `gorm:"column:uid_validity"`
	UID            int64 `gorm:"column:uid"`
}

func (cursorRow) TableName() string { return "cursors" }

func newCursorRow(subscription string, c registry.Cursor) cursorRow {
	return cursorRow{
		SubscriptionID: subscription, FolderKey: folderKey(c.Folder), Folder: c.Folder,
		UIDValidity: int64(c.UIDValidity), UID: int64(c.UID),
	}
}

func (r cursorRow) cursor() registry.Cursor {
	return registry.Cursor{
		Folder:      r.Folder,
		UIDValidity: uint32(r.UIDValidity),
		UID:         uint32(r.UID),
	}
}

// folderKey stands for the folder in the primary key: a folder's name may be
// longer than an index entry, and databases compare trailing spaces differently.
func folderKey(folder string) string {
	sum := sha256.Sum256([]byte(folder))
	return hex.EncodeToString(sum[:16])
}

// epochRow is the newest epoch of a shard. It stays when the shard is given up: what was
// ever fenced stays fenced.
type epochRow struct {
	Backend string `gorm:"primaryKey"`
	Shard   int64  `gorm:"primaryKey;autoIncrement:false"`
	Epoch   int64
}

func (epochRow) TableName() string { return "epochs" }

// erasureRow is an account of the vault that no row names, yet or any more. It has the
// user's two names, not only the key: the user may be gone when the account is erased.
type erasureRow struct {
	UserKey   string `gorm:"primaryKey"`
	Account   string `gorm:"primaryKey"`
	ContextID string
	UserID    string
	// Due is until when the account is kept, in microseconds since 1970: one that is
	// reserved may be named until then, one that was replaced may still be opened. With 0
	// it is to be erased, and nothing brings it back.
	Due int64
}

func (erasureRow) TableName() string { return "erasures" }

func newErasureRow(e registry.Erasure, due int64) erasureRow {
	return erasureRow{UserKey: e.Key(), Account: e.Account, ContextID: e.Context, UserID: e.User, Due: due}
}

func (r erasureRow) erasure() registry.Erasure {
	return registry.Erasure{UserID: registry.UserID{Context: r.ContextID, User: r.UserID}, Account: r.Account}
}

// signed stores a counter in a column: SQL has no unsigned 64-bit type that all
// three databases share. Counters come from etcd revisions and row versions,
// which are themselves signed.
func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func unsigned(n int64) uint64 { return uint64(max(n, 0)) }

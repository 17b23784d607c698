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
// the migrations in schema.go.
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
	Enabled           bool
}

func (userRow) TableName() string { return "users" }

func (r userRow) user(clients []string) registry.User {
	return registry.User{
		UserID:  registry.UserID{Context: r.ContextID, User: r.UserID},
		Enabled: r.Enabled,
		Store:   r.Store,
		Credential: registry.Credential{
			State:   registry.CredentialState(r.CredentialState),
			Kind:    registry.CredentialKind(r.CredentialKind),
			Reason:  r.CredentialReason,
			Version: unsigned(r.CredentialVersion),
		},
		Clients: clients,
	}
}

type registrationRow struct {
	UserKey   string `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	CreatedAt int64  `gorm:"autoCreateTime:false"`
}

func (registrationRow) TableName() string { return "registrations" }

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

type epochRow struct {
	Backend string `gorm:"primaryKey"`
	Shard   int64  `gorm:"primaryKey;autoIncrement:false"`
	Epoch   int64
}

func (epochRow) TableName() string { return "epochs" }

type erasureRow struct {
	UserKey   string `gorm:"primaryKey"`
	Account   string `gorm:"primaryKey"`
	ContextID string
	UserID    string
}

func (erasureRow) TableName() string { return "erasures" }

func newErasureRow(e registry.Erasure) erasureRow {
	return erasureRow{UserKey: e.Key(), Account: e.Account, ContextID: e.Context, UserID: e.User}
}

func (r erasureRow) erasure() registry.Erasure {
	return registry.Erasure{UserID: registry.UserID{Context: r.ContextID, User: r.UserID}, Account: r.Account}
}

// signed stores a counter in a column: SQL has no unsigned 64-bit type that all
// three databases share. Counters come from etcd revisions and row versions,
// which are themselves signed.
func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func unsigned(n int64) uint64 { return uint64(max(n, 0)) }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// migrateHistory remembers what happens to users, and who has disabled one and why. A
// replica of the release before leaves both as they are: what is done by it is not
// remembered, and a disabled user whose last registration it removes is forgotten.
func migrateHistory(tx *gorm.DB) error { return tx.AutoMigrate(&userHistory{}, &usersDisabled{}) }

// userHistory has an index for each way in which it is read: a user's newest, and the
// oldest of all.
type userHistory struct {
	ID             string  `gorm:"primaryKey;size:32;index:user_history_user,priority:3;index:user_history_at,priority:2"`
	UserKey        key1280 `gorm:"not null;index:user_history_user,priority:1"`
	At             int64   `gorm:"not null;index:user_history_user,priority:2;index:user_history_at,priority:1"`
	Kind           string  `gorm:"size:32;not null"`
	Actor          string  `gorm:"size:512;not null"`
	ClientID       name128 `gorm:"not null"`
	SubscriptionID string  `gorm:"size:64;not null"`
	Reason         string  `gorm:"size:512;not null"`
}

func (userHistory) TableName() string { return "user_history" }

type usersDisabled struct {
	DisabledAt     int64  `gorm:"not null;default:0"`
	DisabledReason string `gorm:"size:512;not null;default:''"`
	DisabledBy     string `gorm:"size:512;not null;default:''"`
}

func (usersDisabled) TableName() string { return "users" }

// key1280 is a column for registry.UserID.Key as migrateIDs has widened it.
type key1280 string

// GormDBDataType implements [schema.GormDBDataTypeInterface] of GORM's migrator.
func (key1280) GormDBDataType(db *gorm.DB, _ *schema.Field) string { return keyIDs(db) }

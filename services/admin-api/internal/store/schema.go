// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// migrations are the steps from an empty database to the current schema. A
// released step is never changed: it has types of its own, apart from the rows
// the code uses today.
func migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "202611-registry",
		Migrate: func(tx *gorm.DB) error {
			return tx.AutoMigrate(
				&users1{}, &registrations1{}, &subscriptions1{}, &cursors1{}, &epochs1{}, &erasures1{})
		},
	}, {
		ID:      "202611-delivery",
		Migrate: migrate2,
	}, {
		ID: "202612-slots",
		Migrate: func(tx *gorm.DB) error {
			return tx.AutoMigrate(&users3{}, &subscriptions3{}, &erasures3{})
		},
	}, {
		ID:      "202612-installation",
		Migrate: migrate4,
	}, {
		ID:      "202612-origins",
		Migrate: migrate5,
	}, {
		ID:      "202612-transport",
		Migrate: migrate6,
	}, {
		ID:      "202612-logins",
		Migrate: migrateLogins,
	}, {
		ID:      "202612-doveadm",
		Migrate: migrateDoveadm,
	}, {
		ID:      "202612-placements",
		Migrate: migratePlacements,
	}, {
		ID:      "202612-headers",
		Migrate: migrateHeaders,
	}, {
		ID:      "202612-ids",
		Migrate: migrateIDs,
	}, {
		ID:      "202612-gone",
		Migrate: migrateGone,
	}, {
		ID:      "202612-history",
		Migrate: migrateHistory,
	}}
}

// key330 is a column for registry.UserID.Key, the longest of which had 321
// characters in the first release. Its order is the order of bytes, whatever the database's language.
type key330 string

// GormDBDataType implements [schema.GormDBDataTypeInterface] of GORM's migrator.
func (key330) GormDBDataType(db *gorm.DB, _ *schema.Field) string {
	switch db.Name() {
	case "postgres":
		return `varchar(330) COLLATE "C"`
	case "mysql":
		return "varchar(330) CHARACTER SET ascii COLLATE ascii_bin"
	default:
		return "varchar(330)"
	}
}

// name128 is a column for client names; they are part of an order, too.
type name128 string

// GormDBDataType implements [schema.GormDBDataTypeInterface] of GORM's migrator.
func (name128) GormDBDataType(db *gorm.DB, _ *schema.Field) string {
	switch db.Name() {
	case "postgres":
		return `varchar(128) COLLATE "C"`
	case "mysql":
		return "varchar(128) CHARACTER SET ascii COLLATE ascii_bin"
	default:
		return "varchar(128)"
	}
}

// users1 has an index for each order in which users are read: shard by shard for workers,
// and one context's for people.
type users1 struct {
	UserKey           key330 `gorm:"primaryKey;index:users_cell,priority:2;index:users_context,priority:2"`
	ContextID         string `gorm:"size:64;not null;index:users_context,priority:1"`
	UserID            string `gorm:"size:64;not null"`
	Cell              int64  `gorm:"not null;index:users_cell,priority:1"`
	Store             string `gorm:"size:64;not null"`
	CredentialState   string `gorm:"size:16;not null"`
	CredentialKind    string `gorm:"size:16;not null"`
	CredentialReason  string `gorm:"size:512;not null"`
	CredentialVersion int64  `gorm:"not null"`
	Enabled           bool   `gorm:"not null"`
}

func (users1) TableName() string { return "users" }

// registrations1 has an index of the clients alone, for there are few kinds of them and
// many users: counting listeners begins with the kinds.
type registrations1 struct {
	UserKey   key330  `gorm:"primaryKey"`
	ClientID  name128 `gorm:"primaryKey;index:registrations_client"`
	CreatedAt int64   `gorm:"not null"`
}

func (registrations1) TableName() string { return "registrations" }

type subscriptions1 struct {
	ID            string  `gorm:"primaryKey;size:64"`
	UserKey       key330  `gorm:"not null;uniqueIndex:subscriptions_device,priority:1"`
	Cell          int64   `gorm:"not null"`
	ClientID      name128 `gorm:"not null;uniqueIndex:subscriptions_device,priority:2"`
	DeviceID      name128 `gorm:"not null;uniqueIndex:subscriptions_device,priority:3"`
	Topics        string  `gorm:"size:255;not null"`
	Content       int32   `gorm:"not null"`
	WebhookURL    string  `gorm:"column:webhook_url;size:2048;not null"`
	SecretVersion int64   `gorm:"not null"`
	CreatedAt     int64   `gorm:"not null"`
}

func (subscriptions1) TableName() string { return "subscriptions" }

type cursors1 struct {
	SubscriptionID string `gorm:"primaryKey;size:64"`
	FolderKey      string `gorm:"primaryKey;size:32"`
	Folder         string `gorm:"size:1024;not null"`
	UIDValidity    int64  `gorm:"column:uid_validity;not null"`
	UID            int64  `gorm:"column:uid;not null"`
}

func (cursors1) TableName() string { return "cursors" }

type epochs1 struct {
	Backend string `gorm:"primaryKey;size:64"`
	Shard   int64  `gorm:"primaryKey;autoIncrement:false"`
	Epoch   int64  `gorm:"not null"`
}

func (epochs1) TableName() string { return "epochs" }

type erasures1 struct {
	UserKey   key330 `gorm:"primaryKey"`
	Account   string `gorm:"primaryKey;size:128"`
	ContextID string `gorm:"size:64;not null"`
	UserID    string `gorm:"size:64;not null"`
}

func (erasures1) TableName() string { return "erasures" }

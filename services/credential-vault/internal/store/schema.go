// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// keyRow is a wrapped data key.
type keyRow struct {
	ID        uint32 `gorm:"primaryKey;autoIncrement:false"`
	Active    bool   `gorm:"not null"`
	KDF       string `gorm:"column:kdf;size:190;not null"`
	Box       []byte `gorm:"not null"`
	CreatedAt int64  `gorm:"autoCreateTime:false;not null"`
}

// TableName implements GORM's Tabler.
func (keyRow) TableName() string { return "vault_keys" }

// credentialRow is a sealed credential.
type credentialRow struct {
	ContextID string `gorm:"primaryKey;size:64"`
	UserID    string `gorm:"primaryKey;size:64"`
	Account   string `gorm:"primaryKey;size:256"`
	KeyID     uint32 `gorm:"not null"`
	Box       []byte `gorm:"not null"`
	Version   uint64 `gorm:"not null"`
	SealedAt  int64  `gorm:"not null"`
}

// TableName implements GORM's Tabler.
func (credentialRow) TableName() string { return "vault_credentials" }

// auditRow is one opening of a credential.
type auditRow struct {
	ID        int64  `gorm:"primaryKey"`
	At        int64  `gorm:"not null;index"`
	Caller    string `gorm:"size:64;not null"`
	Reason    string `gorm:"size:128;not null"`
	ContextID string `gorm:"size:64;not null"`
	UserID    string `gorm:"size:64;not null"`
	Account   string `gorm:"size:256;not null"`
	Version   uint64 `gorm:"not null"`
	Outcome   string `gorm:"size:32;not null"`
}

// TableName implements GORM's Tabler.
func (auditRow) TableName() string { return "vault_audit" }

// migrations are the versions of the schema, oldest first. A released one is never
// changed; the rows above follow the last one.
func migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{
		{ID: "0001-keys-credentials-audit", Migrate: func(db *gorm.DB) error {
			return db.AutoMigrate(&keyRow{}, &credentialRow{}, &auditRow{})
		}},
	}
}

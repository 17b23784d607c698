// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"mailpush.internal/pkg/sqldb"
)

// keyRow is a wrapped data key. Its id is given, not counted by the database: of replicas
// that make the first key at once one must lose.
type keyRow struct {
	ID        uint32 `gorm:"primaryKey;autoIncrement:false"`
	Active    bool   `gorm:"not null"`
	KDF       string `gorm:"column:kdf;size:190;not null"`
	Box       []byte `gorm:"not null"`
	CreatedAt int64  `gorm:"autoCreateTime:false;not null"`
}

// TableName implements GORM's Tabler.
func (keyRow) TableName() string { return "vault_keys" }

// credentialRow is a sealed credential. The owner is its key, so that there is one at most:
// a new one replaces the old one in place, and no old secret is left behind. Nothing of what
// is sealed is a column of its own, the login name neither.
type credentialRow struct {
	ContextID string `gorm:"primaryKey;size:254"`
	UserID    string `gorm:"primaryKey;size:254"`
	Account   string `gorm:"primaryKey;size:256"`
	KeyID     uint32 `gorm:"not null"`
	Box       []byte `gorm:"not null"`
	Version   uint64 `gorm:"not null"`
	SealedAt  int64  `gorm:"not null"`
}

// TableName implements GORM's Tabler.
func (credentialRow) TableName() string { return "vault_credentials" }

// auditRow is one opening of a credential. It refers to no row: it outlives the credential.
type auditRow struct {
	ID        int64  `gorm:"primaryKey"`
	At        int64  `gorm:"not null;index"`
	Caller    string `gorm:"size:64;not null"`
	Reason    string `gorm:"size:128;not null"`
	ContextID string `gorm:"size:254;not null"`
	UserID    string `gorm:"size:254;not null"`
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
			return db.AutoMigrate(&keyRow{}, &credentialRow1{}, &auditRow1{})
		}},
		{ID: "0002-ids", Migrate: widenIDs},
	}
}

// widenIDs makes room for ids of 254 characters. With an account of 256 the key of a
// credential has 3,056 bytes on MariaDB, of 3,072 that there may be: what is to be longer
// still needs another key.
func widenIDs(db *gorm.DB) error {
	for _, table := range []string{"vault_credentials", "vault_audit"} {
		for _, column := range []string{"context_id", "user_id"} {
			if err := sqldb.Widen(db, table, column, "varchar(254)"); err != nil {
				return fmt.Errorf("making room for ids: %w", err)
			}
		}
	}
	return nil
}

// credentialRow1 and auditRow1 are the tables as the first version of the schema made them.
type credentialRow1 struct {
	ContextID string `gorm:"primaryKey;size:64"`
	UserID    string `gorm:"primaryKey;size:64"`
	Account   string `gorm:"primaryKey;size:256"`
	KeyID     uint32 `gorm:"not null"`
	Box       []byte `gorm:"not null"`
	Version   uint64 `gorm:"not null"`
	SealedAt  int64  `gorm:"not null"`
}

// TableName implements GORM's Tabler.
func (credentialRow1) TableName() string { return "vault_credentials" }

type auditRow1 struct {
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
func (auditRow1) TableName() string { return "vault_audit" }

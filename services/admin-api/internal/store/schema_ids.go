// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/pkg/sqldb"
)

// migrateIDs makes room for ids of 254 characters, as mail addresses have, and for the
// longest key of two of them, which is 1,271 characters. With the widest beside it in an
// index, users_context, that is 2,296 bytes of the 3,072 that an index of MariaDB has, and
// 1,528 of the 2,704 of PostgreSQL's. Rows are left as they are: the key of an id that was
// one before has not changed.
func migrateIDs(tx *gorm.DB) error {
	for _, table := range []string{"users", "registrations", "subscriptions", "erasures"} {
		if err := sqldb.Widen(tx, table, "user_key", keyIDs(tx)); err != nil {
			return fmt.Errorf("making room for keys of users: %w", err)
		}
	}
	for _, table := range []string{"users", "erasures"} {
		for _, column := range []string{"context_id", "user_id"} {
			if err := sqldb.Widen(tx, table, column, "varchar(254)"); err != nil {
				return fmt.Errorf("making room for ids: %w", err)
			}
		}
	}
	return nil
}

// keyIDs is the type of a column for registry.UserID.Key from this step on. Its order stays
// that of bytes.
func keyIDs(db *gorm.DB) string {
	switch db.Name() {
	case "postgres":
		return `varchar(1280) COLLATE "C"`
	case "mysql":
		return "varchar(1280) CHARACTER SET ascii COLLATE ascii_bin"
	default:
		return "varchar(1280)"
	}
}

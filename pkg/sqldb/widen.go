// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"fmt"

	"gorm.io/gorm"
)

// Widen has a column that is never NULL take longer texts, in a migration. What is in it
// stays, and neither the rows nor the indexes are written anew. SQLite has no widths. It may
// be done twice, as on MySQL it must.
func Widen(tx *gorm.DB, table, column, kind string) error {
	var statement string
	switch tx.Name() {
	case "postgres":
		statement = fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s", table, column, kind)
	case "mysql":
		statement = fmt.Sprintf("ALTER TABLE %s MODIFY %s %s NOT NULL", table, column, kind)
	default:
		return nil
	}
	if err := tx.Exec(statement).Error; err != nil {
		return fmt.Errorf("widening %s.%s: %w", table, column, err)
	}
	return nil
}

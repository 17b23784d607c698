// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import "gorm.io/gorm"

// migrateLogins has users found by the logins that mail stores know them under. A login
// is in the vault and nowhere else: what is stored here finds it and does not show it. A
// replica of the release before leaves the columns as they are, so they say which
// credential they are of.
func migrateLogins(tx *gorm.DB) error { return tx.AutoMigrate(&usersLogins{}) }

type usersLogins struct {
	LoginKey     string `gorm:"size:32;not null;default:'';index:users_login"`
	LoginPart    string `gorm:"size:32;not null;default:'';index:users_login_part"`
	LoginVersion int64  `gorm:"not null;default:0"`
}

func (usersLogins) TableName() string { return "users" }

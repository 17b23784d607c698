// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import "gorm.io/gorm"

// migrate6 says of each subscription how its pushes get to their target. The target's
// address stays in webhook_url, whatever its transport: a replica of the release before,
// which has webhooks only and does not know the new column, reads and writes the same
// rows during a rolling upgrade. It must see every URL, and what it writes must be seen;
// a row that it makes has the default.
func migrate6(tx *gorm.DB) error { return tx.AutoMigrate(&subscriptions6{}) }

type subscriptions6 struct {
	Transport string `gorm:"size:16;not null;default:'webhook'"`
}

func (subscriptions6) TableName() string { return "subscriptions" }

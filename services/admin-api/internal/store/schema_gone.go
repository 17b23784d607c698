// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import "gorm.io/gorm"

// migrateGone keeps the evidence that an endpoint is gone across its workers, and notes of
// which subscriptions it has been believed: they are kept for a while. A replica of the
// release before leaves the columns as they are.
func migrateGone(tx *gorm.DB) error { return tx.AutoMigrate(&subscriptionsGone{}) }

type subscriptionsGone struct {
	AbsentSince int64 `gorm:"not null;default:0"`
	AbsentSeen  int64 `gorm:"not null;default:0"`
	GoneAt      int64 `gorm:"not null;default:0;index:subscriptions_gone"`
}

func (subscriptionsGone) TableName() string { return "subscriptions" }

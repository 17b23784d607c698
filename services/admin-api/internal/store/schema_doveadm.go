// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import "gorm.io/gorm"

// migrateDoveadm adds what doveadm is to be asked for in a user's place, where the
// operator's rule does not say it. It is no secret: a name without a password.
func migrateDoveadm(tx *gorm.DB) error { return tx.AutoMigrate(&usersDoveadm{}) }

type usersDoveadm struct {
	DoveadmName string `gorm:"size:512;not null;default:''"`
}

func (usersDoveadm) TableName() string { return "users" }

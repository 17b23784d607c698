// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import "gorm.io/gorm"

// migrate4 adds the name of the installation.
func migrate4(tx *gorm.DB) error { return tx.AutoMigrate(&installation4{}) }

type installation4 struct {
	Row  int64  `gorm:"primaryKey;autoIncrement:false"`
	Name string `gorm:"size:32;not null"`
}

func (installation4) TableName() string { return "installation" }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

// The third step has every secret sealed into a slot of its own. The defaults are for
// rows that are there, and for those that an older release still makes during a rolling
// upgrade: what they hold is in the accounts that it knows.

type users3 struct {
	CredentialSlot int32 `gorm:"not null;default:0"`
}

func (users3) TableName() string { return "users" }

type subscriptions3 struct {
	PreviousSecretSlot int32 `gorm:"not null;default:-1"` // the other one of 0 and 1
	SecretSlotVersion  int64 `gorm:"not null;default:0"`
}

func (subscriptions3) TableName() string { return "subscriptions" }

type erasures3 struct {
	Due int64 `gorm:"not null;default:0"` // at once
}

func (erasures3) TableName() string { return "erasures" }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/pkg/endpoint"
)

// migrate2 adds what delivery needs beyond pushing: how subscriptions are signed and
// how their endpoints fare, dead letters, and endpoints that are gone. Endpoints that
// were pushed to before count as confirmed: they get mails already.
func migrate2(tx *gorm.DB) error {
	if err := tx.AutoMigrate(&subscriptions2{}, &deadLetters2{}, &departures2{}, &storms2{}); err != nil {
		return err
	}
	return fillOrigins(tx)
}

// fillOrigins fills in the column for subscriptions without one, page by page: many
// subscriptions share few origins.
func fillOrigins(tx *gorm.DB) error {
	for after := ""; ; {
		var rows []struct {
			ID         string
			WebhookURL string `gorm:"column:webhook_url"`
		}
		err := tx.Table("subscriptions").Select("id", "webhook_url").Where("origin = '' AND id > ?", after).
			Order("id").Limit(chunk).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		byOrigin := make(map[string][]string)
		for _, r := range rows {
			origin := endpoint.Origin(r.WebhookURL)
			byOrigin[origin] = append(byOrigin[origin], r.ID)
		}
		for origin, ids := range byOrigin {
			if err := tx.Table("subscriptions").Where("id IN ?", ids).Update("origin", origin).Error; err != nil {
				return fmt.Errorf("filling in origins: %w", err)
			}
		}
		after = rows[len(rows)-1].ID
	}
}

// subscriptions2 are the new columns. The defaults are for rows that are there, and
// for those that an older release still makes during a rolling upgrade.
type subscriptions2 struct {
	Mode                int32  `gorm:"not null;default:2"` // batch
	Origin              string `gorm:"size:300;not null;default:'';index:subscriptions_origin"`
	Signature           string `gorm:"size:8;not null;default:'v1'"`
	SecretSlot          int32  `gorm:"not null;default:0"`
	PreviousSecretUntil int64  `gorm:"not null;default:0"`
	Confirmed           bool   `gorm:"not null;default:true"`
	FailingSince        int64  `gorm:"not null;default:0"`
	LastError           string `gorm:"size:512;not null;default:''"`
	Replay              int64  `gorm:"not null;default:0"`
	Revision            int64  `gorm:"not null;default:0"`
	Disabled            bool   `gorm:"not null;default:false"`
	DisabledReason      string `gorm:"size:512;not null;default:''"`
	DisabledAt          int64  `gorm:"not null;default:0"`
}

func (subscriptions2) TableName() string { return "subscriptions" }

type deadLetters2 struct {
	ID             string `gorm:"primaryKey;size:32;index:dead_letters_at,priority:2;index:dead_letters_subscription,priority:3"`
	SubscriptionID string `gorm:"size:64;not null;index:dead_letters_subscription,priority:1"`
	At             int64  `gorm:"not null;index:dead_letters_at,priority:1;index:dead_letters_subscription,priority:2"`
	Folder         string `gorm:"size:1024;not null"`
	UIDValidity    int64  `gorm:"column:uid_validity;not null"`
	FirstUID       int64  `gorm:"column:first_uid;not null"`
	LastUID        int64  `gorm:"column:last_uid;not null"`
	Reason         string `gorm:"size:512;not null"`
}

func (deadLetters2) TableName() string { return "dead_letters" }

type departures2 struct {
	SubscriptionID string `gorm:"primaryKey;size:64"`
	Origin         string `gorm:"size:300;not null;index:departures_origin"`
	At             int64  `gorm:"not null;index:departures_at"`
}

func (departures2) TableName() string { return "departures" }

type storms2 struct {
	Origin string `gorm:"primaryKey;size:300"`
	At     int64  `gorm:"not null"`
	ToldAt int64  `gorm:"not null"`
}

func (storms2) TableName() string { return "storms" }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// migrateHeaders says of each subscription which headers its pushes carry, and where the
// values are in the vault. A replica of the release before leaves the columns as they
// are; when it removes a subscription, the values stay sealed in the vault and nothing
// names them any more.
func migrateHeaders(tx *gorm.DB) error { return tx.AutoMigrate(&subscriptionsHeaders{}) }

type subscriptionsHeaders struct {
	HeaderNames   string `gorm:"size:1200;not null;default:''"`
	HeaderVersion int64  `gorm:"not null;default:0"`
	HeaderSlot    int32  `gorm:"not null;default:0"`
}

func (subscriptionsHeaders) TableName() string { return "subscriptions" }

// headers are the row's; names have no spaces.
func (r subscriptionRow) headers() registry.Headers {
	out := registry.Headers{Version: unsigned(r.HeaderVersion), Slot: uint32(r.HeaderSlot)}
	if r.HeaderNames != "" {
		out.Names = strings.Fields(r.HeaderNames)
	}
	return out
}

// carrying is the row with other headers.
func (r subscriptionRow) carrying(h registry.Headers) subscriptionRow {
	r.HeaderNames, r.HeaderVersion, r.HeaderSlot = strings.Join(h.Names, " "), signed(h.Version), int32(h.Slot)
	return r
}

// headersOvertaken refuses headers that rest on others than there are by now.
func (r subscriptionRow) headersOvertaken(asked subscriptionRow) error {
	changed := r.HeaderSlot != asked.HeaderSlot
	if r.HeaderVersion > asked.HeaderVersion || changed && r.HeaderVersion == asked.HeaderVersion {
		return fault.New(fault.Unavailable, "another call has changed the headers; try again")
	}
	return nil
}

// headerErasures is the account of the row's headers, where it has any.
func (r subscriptionRow) headerErasures(user registry.UserID) []registry.Erasure {
	if r.HeaderSlot == 0 {
		return nil
	}
	return []registry.Erasure{{UserID: user, Account: registry.HeadersAccount(r.ID, uint32(r.HeaderSlot))}}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/pkg/endpoint"
)

// migrate5 brings stored origins into the form of [endpoint.Origin], so that one that is
// stored is not told apart from itself. It differs from the earlier form for names
// beyond ASCII, IPv6 addresses not in their shortest form, and ports with leading
// zeros. What an earlier release still writes so during a rolling upgrade stays until
// the device subscribes again. Storms are left: they are forgotten within minutes.
func migrate5(tx *gorm.DB) error {
	for _, table := range []string{"subscriptions", "departures"} {
		if err := canonicalOrigins(tx, table); err != nil {
			return fmt.Errorf("rewriting origins of %s: %w", table, err)
		}
	}
	return nil
}

// canonicalOrigins rewrites origin by origin, page by page: an origin is a URL itself.
func canonicalOrigins(tx *gorm.DB, table string) error {
	for after := ""; ; {
		var origins []string
		err := tx.Table(table).Distinct("origin").Where("origin > ?", after).Order("origin").Limit(chunk).Find(&origins).Error
		if err != nil || len(origins) == 0 {
			return err
		}
		for _, old := range origins {
			now := endpoint.Origin(old)
			if now == old || now == "" {
				continue
			}
			if err := tx.Table(table).Where("origin = ?", old).Update("origin", now).Error; err != nil {
				return err
			}
		}
		after = origins[len(origins)-1]
	}
}

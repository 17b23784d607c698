// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"mailpush.internal/services/admin-api/internal/registry"
)

// groupRow is how many users of a shard are alike in what the decision looks at.
type groupRow struct {
	Shard                                  int64
	Store, CredentialState, CredentialKind string
	Enabled, Allowed                       bool
	Users                                  int64
}

// Groups counts the users of every shard, grouped by what the decision looks at,
// in one pass of the database. Of the clients that allow accepts a user shows
// one: for the decision one allowed client is as good as another.
func (s *Store) Groups(ctx context.Context, shards uint32, allow func(client string) bool) ([]registry.Group, error) {
	db := s.reader.WithContext(ctx)
	var clients, allowed []string
	if err := db.Model(&registrationRow{}).Distinct("client_id").Pluck("client_id", &clients).Error; err != nil {
		return nil, fmt.Errorf("reading the kinds of clients: %w", err)
	}
	for _, c := range clients {
		if allow(c) {
			allowed = append(allowed, c)
		}
	}
	isAllowed, args := "1", []any{cellBits(shards)} // all users have a client: where all are allowed nobody is looked up
	if len(allowed) < len(clients) {
		isAllowed = "CASE WHEN EXISTS (SELECT 1 FROM registrations r WHERE r.user_key = u.user_key AND r.client_id IN ?) THEN 1 ELSE 0 END"
		args = append(args, allowed)
	}
	var rows []groupRow
	err := db.Table("users u").Select("(u.cell >> ?) AS shard, u.store, CASE WHEN "+inSlot+" THEN 'stored' ELSE credential_state END AS credential_state, "+
		"u.credential_kind, u.enabled, "+isAllowed+" AS allowed, COUNT(*) AS users", args...).
		Group("1, 2, 3, 4, 5, 6").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("counting users per shard: %w", err)
	}
	groups := make([]registry.Group, len(rows))
	for i, r := range rows {
		like := userRow{Store: r.Store, CredentialState: r.CredentialState, CredentialKind: r.CredentialKind, Enabled: r.Enabled}
		var client []string
		if r.Allowed {
			client = allowed[:1]
		}
		groups[i] = registry.Group{Shard: uint32(r.Shard), Like: like.user(client), Users: uint32(r.Users)}
	}
	return groups, nil
}

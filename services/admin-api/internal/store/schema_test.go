// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"log/slog"
	"testing"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/services/admin-api/internal/registry"
)

// TestUpgradeKeepsSubscriptions opens a registry that the first release has left.
func TestUpgradeKeepsSubscriptions(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		log := slog.New(slog.DiscardHandler)
		old := must(sqldb.Open(t.Context(), dsn, log))(t)
		if err := sqldb.Migrate(old, "registry_migrations", migrations()[:1]); err != nil {
			t.Fatal(err)
		}
		rows := []any{&users1{UserKey: key330(anna.Key()), ContextID: "1", UserID: "249", Store: "demo", CredentialState: "stored", Enabled: true}}
		urls := map[string]string{"sub_a": "https://hook.example/?token=a", "sub_b": "https://Hook.example:443/b", "sub_c": "http://[::1]:8080/", "sub_d": "%"}
		for id, url := range urls {
			rows = append(rows, &subscriptions1{
				ID: id, UserKey: key330(anna.Key()), ClientID: "mobile", DeviceID: name128(id), Topics: "mail:new", Content: 3,
				WebhookURL: url, SecretVersion: 4, CreatedAt: 1_700_000_000_000_000,
			})
		}
		for _, row := range rows {
			if err := old.Create(row).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := sqldb.Close(old); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to do
			s := must(Open(t.Context(), dsn, log))(t)
			got := make(map[string]registry.Subscription)
			for _, sub := range must(s.Subscriptions(t.Context(), anna))(t) {
				got[sub.ID] = sub
			}
			want := map[string]string{"sub_a": "https://hook.example:443", "sub_b": "https://hook.example:443", "sub_c": "http://[::1]:8080", "sub_d": ""}
			for id, origin := range want {
				sub := subscription(id, anna, "mobile", id)
				sub.WebhookURL, sub.Cursors, sub.Signing.Version = urls[id], nil, 4
				sub.Endpoint = registry.Endpoint{Origin: origin, Confirmed: true}
				same(t, id, sub, got[id])
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

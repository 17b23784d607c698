// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
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

// TestUpgradeJoinsOrigins opens a registry that has told origins apart by how they were
// written.
func TestUpgradeJoinsOrigins(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		log := slog.New(slog.DiscardHandler)
		old := must(sqldb.Open(t.Context(), dsn, log))(t)
		if err := sqldb.Migrate(old, "registry_migrations", migrations()[:4]); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"https://bücher.example:443": "https://xn--bcher-kva.example:443", "https://[2001:db8:0:0::1]:443": "https://[2001:db8::1]:443",
			"https://hook.example:0443": "https://hook.example:443", "https://hook.example:443": "https://hook.example:443", "": "",
		}
		row := userRow{UserKey: anna.Key(), ContextID: anna.Context, UserID: anna.User, Store: "demo", CredentialState: "stored", Enabled: true}
		if err := old.Create(&row).Error; err != nil {
			t.Fatal(err)
		}
		for origin := range want {
			sub := map[string]any{
				"id": "sub " + origin, "user_key": anna.Key(), "cell": 0, "client_id": "mobile", "device_id": folderKey(origin), "topics": "mail:new",
				"content": 3, "webhook_url": origin, "secret_version": 1, "created_at": 1, "origin": origin,
			}
			gone := map[string]any{"subscription_id": "gone " + origin, "origin": origin, "at": 1}
			if err := errors.Join(old.Table("subscriptions").Create(sub).Error, old.Table("departures").Create(gone).Error); err != nil {
				t.Fatal(err)
			}
		}
		if err := sqldb.Close(old); err != nil {
			t.Fatal(err)
		}
		s := must(Open(t.Context(), dsn, log))(t)
		defer s.Close()
		for old, origin := range want {
			var sub, gone string
			err := errors.Join(
				s.db.Table("subscriptions").Select("origin").Where("id = ?", "sub "+old).Take(&sub).Error,
				s.db.Table("departures").Select("origin").Where("subscription_id = ?", "gone "+old).Take(&gone).Error)
			if err != nil || sub != origin || gone != origin {
				t.Errorf("%s: subscription has %q, departure %q, error %v", old, sub, gone, err)
			}
		}
	})
}

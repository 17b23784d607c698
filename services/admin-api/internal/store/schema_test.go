// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"

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
				sub.Target.Address, sub.Cursors, sub.Signing.Version = urls[id], nil, 4
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
		if err := old.Omit("LoginKey", "LoginPart", "LoginVersion", "DoveadmName", "DisabledAt", "DisabledReason", "DisabledBy").Create(&row).Error; err != nil { // later columns
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

// TestRollingUpgradeOfTransports has a replica of the release before, which does not know
// the column, at work beside the one that has added it.
func TestRollingUpgradeOfTransports(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		ctx, log := t.Context(), slog.New(slog.DiscardHandler)
		old := must(sqldb.Open(ctx, dsn, log))(t)
		defer func() { _ = sqldb.Close(old) }()
		if err := sqldb.Migrate(old, "registry_migrations", migrations()[:5]); err != nil {
			t.Fatal(err)
		}
		insert := func(id string) {
			t.Helper()
			err := old.Exec(`INSERT INTO subscriptions (id, user_key, cell, client_id, device_id, topics, content, webhook_url, secret_version, created_at)
				VALUES (?, ?, 0, 'mobile', ?, 'mail:new', 3, ?, 1, 1)`, id, anna.Key(), id, "https://hook.example/"+id).Error
			if err != nil {
				t.Fatal(err)
			}
		}
		row := userRow{UserKey: anna.Key(), ContextID: anna.Context, UserID: anna.User, Store: "demo", CredentialState: "stored", Enabled: true}
		if err := old.Omit("LoginKey", "LoginPart", "LoginVersion", "DoveadmName", "DisabledAt", "DisabledReason", "DisabledBy").Create(&row).Error; err != nil { // later columns
			t.Fatal(err)
		}
		insert("sub_before")
		s := must(Open(ctx, dsn, log))(t)
		defer s.Close()
		target := func(id string) registry.Target { return must(s.Subscription(ctx, id))(t).Target }
		same(t, "a row of before", registry.Target{Transport: registry.Webhook, Address: "https://hook.example/sub_before"}, target("sub_before"))
		insert("sub_during")
		same(t, "a row made meanwhile", registry.Target{Transport: registry.Webhook, Address: "https://hook.example/sub_during"}, target("sub_during"))

		subscribe(t, s, subscription("sub_new", bob, "mobile", ""), login(1))
		var url string
		if err := old.Raw("SELECT webhook_url FROM subscriptions WHERE id = 'sub_new'").Scan(&url).Error; err != nil || url != target("sub_new").Address {
			t.Errorf("the replica of before sees %q, error %v", url, err)
		}
		if err := old.Exec("UPDATE subscriptions SET webhook_url = 'https://moved.example/', secret_version = 2 WHERE id = 'sub_new'").Error; err != nil {
			t.Fatal(err)
		}
		same(t, "a row moved by it", registry.Target{Transport: registry.Webhook, Address: "https://moved.example/"}, target("sub_new"))
	})
}

// TestTransportIsStored also when a later release knows more of them, and when a device
// changes from one to another.
func TestTransportIsStored(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Target.Transport, sub.Endpoint.Confirmed = "web_push", true
		subscribe(t, s, sub, login(1))
		same(t, "stored", sub.Target, must(s.Subscription(t.Context(), "sub_a"))(t).Target)
		sub.Target.Transport = registry.Webhook
		subscribe(t, s, sub, nil)
		got := must(s.Subscription(t.Context(), "sub_a"))(t)
		if got.Target != sub.Target || got.Endpoint.Confirmed || got.Revision != 1 {
			t.Errorf("after a change of transport alone: %+v", got)
		}
	})
}

// TestRollingUpgradeOfHistory has a replica of the release before, which knows nothing of
// disabled users, make and change users beside the one that does.
func TestRollingUpgradeOfHistory(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		ctx, log := t.Context(), slog.New(slog.DiscardHandler)
		old := must(sqldb.Open(ctx, dsn, log))(t)
		defer func() { _ = sqldb.Close(old) }()
		step := slices.IndexFunc(migrations(), func(m *gormigrate.Migration) bool { return m.ID == "202612-history" })
		check(t, sqldb.Migrate(old, "registry_migrations", migrations()[:step]))
		insert := func(user registry.UserID) {
			t.Helper()
			row := userRow{UserKey: user.Key(), ContextID: user.Context, UserID: user.User, Store: "demo", CredentialState: "stored", Enabled: true}
			check(t, old.Omit("DisabledAt", "DisabledReason", "DisabledBy").Create(&row).Error)
		}
		insert(anna)
		s := must(Open(ctx, dsn, log))(t)
		defer s.Close()
		insert(bob)
		for _, user := range []registry.UserID{anna, bob} {
			if u := must(s.User(ctx, user))(t); !u.Enabled || u.Disabling != (registry.Disabling{}) {
				t.Errorf("of the release before: %+v", u)
			}
			must(s.DisableUser(ctx, user, "abuse", noon()))(t)
			check(t, old.Exec("UPDATE users SET store = 'other', credential_version = 2 WHERE user_key = ?", user.Key()).Error)
			same(t, "changed by it", registry.Disabling{Reason: "abuse", At: noon()}, must(s.User(ctx, user))(t).Disabling)
			same(t, "history", []string{"user_disabled by system: abuse"}, told(t, s, user))
		}
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/trials/internal/rig"
)

const (
	// first is the number of the box that all others are copies of.
	first = 1
	// atOnce is how many names one statement brings.
	atOnce = 500
	// cells is how finely the registry spreads users.
	cells = 1 << 31
)

// copied are the tables that hold something of a user, with what is another's in a copy: n
// is the copy's name. Each row of the first user is copied.
func copied() map[string]struct {
	where string
	other map[string]string
} {
	type table = struct {
		where string
		other map[string]string
	}
	const id = "'sub_' || n.user_id"
	return map[string]table{
		"users":         {"t.user_key = ?", map[string]string{"user_key": "n.user_key", "user_id": "n.user_id", "cell": "n.cell"}},
		"registrations": {"t.user_key = ?", map[string]string{"user_key": "n.user_key"}},
		"subscriptions": {"t.user_key = ?", map[string]string{"id": id, "user_key": "n.user_key", "cell": "n.cell"}},
		"cursors": {
			"t.subscription_id = (SELECT id FROM subscriptions WHERE user_key = ?)", map[string]string{"subscription_id": id},
		},
	}
}

// multiply makes so many users of the one that is registered, each with a subscription and
// a cursor. Subscribing each would take an hour.
func multiply(ctx context.Context, file string, users int) (err error) {
	pool, err := sqldb.Open(ctx, secret.New("sqlite://"+file), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sqldb.Close(pool)) }()
	tx := pool.WithContext(ctx).Begin()
	if tx.Error != nil {
		return tx.Error
	}
	defer func() {
		if err != nil {
			tx.Rollback()
		}
	}()
	var key string
	if err := tx.Raw("SELECT user_key FROM users WHERE cell = ?", cellOf(first)).Scan(&key).Error; err != nil {
		return err
	}
	if key != keyOf(first) {
		return fmt.Errorf("the key of %s is %q, want %q", rig.Box(first), key, keyOf(first))
	}
	run := func(sql string, values ...any) error { return tx.Exec(sql, values...).Error }
	if err := run("CREATE TEMP TABLE names (user_key TEXT, user_id TEXT, cell INTEGER)"); err != nil {
		return err
	}
	for from := first + 1; from < first+users; from += atOnce {
		if err := name(run, from, min(from+atOnce, first+users)); err != nil {
			return err
		}
	}
	for table, of := range copied() {
		var columns []string
		if err := tx.Raw("SELECT name FROM pragma_table_info(?)", table).Scan(&columns).Error; err != nil {
			return err
		}
		values := slices.Clone(columns)
		for i, column := range columns {
			if values[i] = of.other[column]; values[i] == "" {
				values[i] = "t." + column
			}
		}
		if err := run("INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") SELECT "+strings.Join(values, ", ")+
			" FROM "+table+" t, names n WHERE "+of.where, key); err != nil {
			return fmt.Errorf("copying rows of %s: %w", table, err)
		}
	}
	return tx.Commit().Error
}

// name brings the names of the boxes from one number up to, not with, another.
func name(run func(sql string, values ...any) error, from, to int) error {
	var values []any
	for n := from; n < to; n++ {
		values = append(values, keyOf(n), rig.Box(n), cellOf(n))
	}
	return run("INSERT INTO names VALUES "+strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", to-from), ", "), values...)
}

func cellOf(n int) int64 { return int64(shard.Of("1", rig.Box(n), cells)) }

// keyOf is a user's key in the registry, of which each number is written with its length, and
// with how many zeros it has in front.
func keyOf(n int) string {
	digits := strconv.Itoa(n)
	text := strings.TrimSuffix(rig.Box(n), digits)
	number := func(digits string) string { return "0" + string(rune('0'+len(digits))) + digits + "0" }
	return number("1") + "!" + text + number(digits)
}

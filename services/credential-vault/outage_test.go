// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
)

// A vault whose database comes after it, goes away and comes again: it is unavailable
// without it, says so once each time, and needs no restart. A configuration that is read
// meanwhile holds once it is there.
func TestDatabaseMayComeLaterAndGo(t *testing.T) {
	t.Parallel()
	sqltest.EachServer(t, func(t *testing.T, server *sqltest.Server) {
		dsn, _, err := server.NewDatabase(t.Context())
		if err == nil {
			err = server.Down()
		}
		if err != nil {
			t.Fatal(err)
		}
		config := Config{Passphrase: secret.New(passphrase), StorePasswords: true, Database: dsn}
		r := launch(t, config)
		reread := func(storePasswords bool) {
			t.Helper()
			config.StorePasswords = storePasswords
			take, err := r.service.Reconfigure(config)
			if err != nil {
				t.Fatal(err)
			}
			take()
		}
		unavailable := func() {
			t.Helper()
			for range 20 {
				if _, err := open(t, r, user()); connect.CodeOf(err) != connect.CodeUnavailable {
					t.Fatalf("without a database: %v", err)
				}
			}
			if r.service.Ready(t.Context()) == nil {
				t.Error("it is ready without a database")
			}
		}
		unavailable()
		r.log.await(t, "the vault waits for its database")
		reread(false)
		if err := server.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.awaitReady(t)
		if _, err := trySeal(t, r); connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Errorf("under a configuration that was read while the database was away: %v", err)
		}
		reread(true)
		version := sealPassword(t, r)

		if err := server.Down(); err != nil {
			t.Fatal(err)
		}
		unavailable()
		if err := server.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.awaitReady(t)
		if opened, err := open(t, r, user()); err != nil || opened.GetVersion() != version {
			t.Errorf("afterwards: %v, %v", opened.GetVersion(), err)
		}
		for _, line := range []string{"the vault waits for its database", "the database does not answer"} {
			if got := strings.Count(r.log.String(), `level=WARN msg="`+line); got != 1 {
				t.Errorf("%q is there %d times\n%s", line, got, r.log)
			}
		}
		if got := strings.Count(r.log.String(), "level=WARN") + strings.Count(r.log.String(), "level=ERROR"); got > 4 { // pruning at the start may be cut short as well
			t.Errorf("%d warnings and errors of two outages\n%s", got, r.log)
		}
	})
}

// await waits for a line.
func (l *logbook) await(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := proctest.Await(ctx, line, func(context.Context) error {
		if text := l.String(); !strings.Contains(text, line) {
			return errors.New(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

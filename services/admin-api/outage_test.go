// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/sqltest"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// The database comes after admin-api, goes away and comes again: whoever calls is told to
// try again, the log says so once each time, and nothing has to be started again.
func TestDatabaseMayComeLaterAndGo(t *testing.T) {
	t.Parallel()
	sqltest.EachServer(t, func(t *testing.T, server *sqltest.Server) {
		dsn, _, err := server.NewDatabase(t.Context())
		check(t, err)
		check(t, server.Down())
		w := launchWorld(t, func(c *Config) { c.Database = dsn })
		registry := w.registry(identity.Scheduler)
		loads := func() error {
			_, err := registry.ShardLoads(t.Context(), connect.NewRequest(&registryv1.ShardLoadsRequest{}))
			return err
		}
		unavailable := func() {
			t.Helper()
			for range 20 {
				if err := loads(); connect.CodeOf(err) != connect.CodeUnavailable {
					t.Fatalf("the scheduler is told %v", err)
				}
				if got := w.post(asAdmin, adminURL+"ListPushUsers", "{}"); got.status != http.StatusServiceUnavailable {
					t.Fatalf("the public is told %d %s", got.status, got.text)
				}
			}
			if w.service.Ready(t.Context()) == nil {
				t.Error("it is ready without a database")
			}
		}
		unavailable()
		check(t, server.Up(t.Context()))
		w.awaitReady()
		check(t, loads())

		check(t, server.Down())
		unavailable()
		check(t, server.Up(t.Context()))
		w.awaitReady()
		check(t, loads())
		var loud []string
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
				loud = append(loud, line)
			}
		}
		// The wait at the start, the outage, and the two procedures that were called in it.
		if len(loud) > 4 || !strings.Contains(w.log.String(), `level=WARN msg="admin-api waits for its database"`) {
			t.Errorf("%d lines of two outages:\n%s", len(loud), strings.Join(loud, ""))
		}
	})
}

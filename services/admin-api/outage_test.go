// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// The database comes after admin-api, goes away and comes again: whoever calls is told to
// try again, the log says so once each time, and nothing has to be started again. A
// configuration that is read meanwhile holds once it is there.
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
		c := w.config
		c.Applications = []Application{{Name: "app", TokenHash: HashToken(secret.New("fresh")), Contexts: []string{"1"}}}
		take, err := w.service.Reconfigure(c)
		check(t, err)
		take()
		check(t, server.Up(t.Context()))
		w.awaitReady()
		check(t, loads())
		w.await("the configuration that was read meanwhile", func() bool {
			return w.post("Bearer fresh", pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`).status == http.StatusOK
		})

		check(t, server.Down())
		unavailable()
		check(t, server.Up(t.Context()))
		w.awaitReady()
		check(t, loads())
		// The wait at the start, the outage, the two procedures that were called in it, and what
		// admin-api does by itself, if that was its time: once each.
		said := make(map[string]int)
		for line := range strings.Lines(w.log.String()) {
			if _, loud, is := strings.Cut(line, "level=WARN "); is {
				what, _, _ := strings.Cut(loud, " error=")
				said[what]++
			}
		}
		for what, times := range said {
			if times > 1 {
				t.Errorf("%d times %s", times, what)
			}
		}
		if said[`msg="admin-api waits for its database"`] != 1 || said[`msg="the database does not answer"`] != 1 || strings.Contains(w.log.String(), "level=ERROR") {
			t.Errorf("of two outages the log says\n%s", w.log)
		}
	})
}

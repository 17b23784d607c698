// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
)

// alertFile is a file of alerts as Prometheus reads it.
type alertFile struct {
	Groups []struct {
		Name  string
		Rules []alert
	}
}

type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string

	group string
}

// alertsOf are the alerts of the file, each with its group's name without mailpush-.
func alertsOf(t *testing.T) (all []alert) {
	t.Helper()
	for _, group := range decodeYAML[alertFile](t, filepath.Join(directory, "monitoring", "alerts.yaml"))[0].Groups {
		for _, a := range group.Rules {
			a.group = strings.TrimPrefix(group.Name, "mailpush-")
			all = append(all, a)
		}
	}
	return all
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	exported := exportedMetrics(t)
	used, names := map[string]bool{}, map[string]bool{}
	for _, a := range alertsOf(t) {
		if names[a.Alert] || !strings.HasPrefix(a.Alert, "Mailpush") {
			t.Errorf("alert %q of group %q", a.Alert, a.group)
		}
		names[a.Alert] = true
		if a.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", a.Alert)
		}
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" && severity != "info" {
			t.Errorf("%s is of severity %q", a.Alert, severity)
		}
		checkMetrics(t, a.Alert, a.Expr, exported, used)
		if a.Alert == "MailpushDatabaseFails" {
			checkProcedures(t, a)
		}
	}
	for _, metric := range []string{
		"mailpush_worker_oldest_undelivered_seconds", "mailpush_worker_origin_breakers", "mailpush_worker_gone_held_total",
		"mailpush_scheduler_leading", "mailpush_scheduler_unassigned_shards", "mailpush_scheduler_settling_shards",
		"mailpush_scheduler_unread_keys", "mailpush_scheduler_alarms", "mailpush_scheduler_loads_age_seconds", "mailpush_worker_in_doubt",
		"mailpush_worker_listeners", "mailpush_worker_subscriptions_late", "mailpush_worker_found_by_reconcile_total",
		"mailpush_worker_mail_stores_down", "mailpush_worker_mail_store_seconds", "mailpush_worker_capacity_listeners",
		"mailpush_admin_users", "mailpush_admin_suspensions_total", "mailpush_admin_rpc_seconds", "mailpush_admin_subscribe_total",
		"mailpush_service_ready", "mailpush_calls_total", "mailpush_certificate_expires_timestamp_seconds", "mailpush_config_last_reload_successful",
		"mailpush_admin_cursor_commits_total", "mailpush_vault_calls_total", "mailpush_worker_imap_connects_total",
	} {
		if !used[metric] {
			t.Errorf("no alert looks at %s", metric)
		}
	}
}

// checkProcedures expects an alert to look at all procedures of the registry, and at no
// public one: Subscribe is unavailable as well when one mail store cannot be reached.
func checkProcedures(t *testing.T, a alert) {
	t.Helper()
	found := regexp.MustCompile(`mailpush_admin_rpc_total\{procedure=~"([^"]+)"`).FindStringSubmatch(a.Expr)
	if found == nil {
		t.Fatalf("%s looks at every procedure: %s", a.Alert, a.Expr)
	}
	procedures := regexp.MustCompile("^(?:" + found[1] + ")$") // as Prometheus anchors it
	for procedure, want := range map[string]bool{
		registryv1connect.RegistryServiceCommitCursorsProcedure: true,
		registryv1connect.RegistryServiceShardLoadsProcedure:    true,
		pushv1connect.PushServiceSubscribeProcedure:             false,
		adminv1connect.AdminServiceListPushUsersProcedure:       false,
	} {
		if procedures.MatchString(procedure) != want {
			t.Errorf("%s looks at %s: %v, want %v", a.Alert, procedure, !want, want)
		}
	}
}

// dashboard is what Grafana makes panels of.
type dashboard struct {
	Title  string
	Panels []struct {
		ID          int
		Title       string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, RefID string }
	}
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(directory, "monitoring", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(content, &board); err != nil {
		t.Fatal(err)
	}
	exported, used, places, firing := exportedMetrics(t), map[string]bool{}, map[[2]int]string{}, false
	for _, panel := range board.Panels {
		if panel.Title == "" || panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %d (%q) lacks a title, a description or something to show", panel.ID, panel.Title)
		}
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				if other := places[at]; other != "" || at[0] >= 24 {
					t.Fatalf("panel %q lies on %q or beside the grid", panel.Title, other)
				}
				places[at] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			if strings.Contains(target.Expr, `ALERTS{alertname=~"Mailpush.+"`) {
				firing = true
				continue
			}
			checkMetrics(t, panel.Title, target.Expr, exported, used)
		}
	}
	if !firing {
		t.Error("no panel shows which alerts fire")
	}
	for _, a := range alertsOf(t) {
		for _, name := range metricsIn(a.Expr, exported) {
			if !used[name] {
				t.Errorf("%s fires, and no panel shows %s", a.Alert, name)
			}
		}
	}
	for name := range exported {
		if strings.HasPrefix(name, "mailpush_worker_") && !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// checkMetrics expects every metric of an expression to be exported by a service, and
// notes that it is used.
func checkMetrics(t *testing.T, where, expr string, exported, used map[string]bool) {
	t.Helper()
	ours := false
	for _, name := range metricsIn(expr, exported) {
		used[name] = true
		if !strings.HasPrefix(name, "mailpush_") {
			continue
		}
		if ours = true; !exported[name] {
			t.Errorf("%s: no service exports %s", where, name)
		}
	}
	if !ours {
		t.Errorf("%s looks at no metric of ours: %s", where, expr)
	}
}

// metricsIn are the metrics that an expression looks at: ours, those of every process, and
// whether a target answers. Histograms are without a suffix.
func metricsIn(expr string, exported map[string]bool) []string {
	names := regexp.MustCompile(`\b(mailpush_[a-z0-9_]+|process_[a-z_]+|up)\b`).FindAllString(expr, -1)
	for i, name := range names {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if short := strings.TrimSuffix(name, suffix); exported[short] {
				names[i] = short
			}
		}
	}
	return names
}

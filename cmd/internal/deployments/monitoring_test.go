// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	exported := exportedMetrics(t)
	used, names := map[string]bool{}, map[string]bool{}
	for _, group := range decodeYAML[alertFile](t, filepath.Join(directory, "monitoring", "alerts.yaml"))[0].Groups {
		for _, a := range group.Rules {
			if names[a.Alert] || !strings.HasPrefix(a.Alert, "Mailpush") || !strings.HasPrefix(group.Name, "mailpush-") {
				t.Errorf("alert %q of group %q", a.Alert, group.Name)
			}
			names[a.Alert] = true
			for _, annotation := range []string{"summary", "description"} {
				if a.Annotations[annotation] == "" {
					t.Errorf("%s has no %s", a.Alert, annotation)
				}
			}
			if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" && severity != "info" {
				t.Errorf("%s is of severity %q", a.Alert, severity)
			}
			checkMetrics(t, a.Alert, a.Expr, exported, used)
			if a.Alert == "MailpushDatabaseFails" {
				checkProcedures(t, a)
			}
		}
	}
	for _, metric := range []string{
		"mailpush_worker_oldest_undelivered_seconds", "mailpush_worker_origin_breakers", "mailpush_worker_gone_held_total",
		"mailpush_scheduler_leading", "mailpush_scheduler_unassigned_shards", "mailpush_scheduler_settling_shards",
		"mailpush_scheduler_unread_keys", "mailpush_worker_doubts_total",
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
	exported, used, places := exportedMetrics(t), map[string]bool{}, map[[2]int]string{}
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
			checkMetrics(t, panel.Title, target.Expr, exported, used)
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
	names := regexp.MustCompile(`mailpush_[a-z0-9_]+`).FindAllString(expr, -1)
	if len(names) == 0 {
		t.Errorf("%s looks at no metric: %s", where, expr)
	}
	if strings.Count(expr, "(") != strings.Count(expr, ")") {
		t.Errorf("%s: %s", where, expr)
	}
	for _, name := range names {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} { // of a histogram
			if short := strings.TrimSuffix(name, suffix); exported[short] {
				name = short
			}
		}
		if !exported[name] {
			t.Errorf("%s: no service exports %s", where, name)
		}
		used[name] = true
	}
}

// Whoever is woken by an alert finds it under its name.
func TestAlertsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(repository + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := map[string]bool{}
	for _, group := range decodeYAML[alertFile](t, filepath.Join(directory, "monitoring", "alerts.yaml"))[0].Groups {
		for _, a := range group.Rules {
			alerts[a.Alert] = false
		}
	}
	for _, name := range regexp.MustCompile(`\bMailpush[A-Za-z]+`).FindAllString(string(page), -1) {
		if _, known := alerts[name]; !known {
			t.Errorf("docs/operations.md speaks of %s, and there is no such alert", name)
		}
		alerts[name] = true
	}
	for name, documented := range alerts {
		if !documented {
			t.Errorf("docs/operations.md does not have %s", name)
		}
	}
}

// The page of metrics has all of them, and no document has others.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	const page = repository + "/docs/metrics.md"
	exported, documented := exportedMetrics(t), map[string]bool{}
	for _, pattern := range []string{"docs/*.md", "services/*/README.md", "deployments/README.md"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no file matches %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range regexp.MustCompile(`mailpush_[a-z0-9_]+`).FindAllString(string(text), -1) {
				documented[name] = documented[name] || file == filepath.Clean(page)
				if !exported[name] {
					t.Errorf("%s: no service exports %s", file, name)
				}
			}
		}
	}
	for name := range exported {
		if !documented[name] {
			t.Errorf("docs/metrics.md does not have %s", name)
		}
	}
}

// exportedMetrics are the names of metrics in the sources of the services, and of what all
// of them have, histograms without a suffix.
func exportedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, sources := range []string{"/services", "/cmd/internal/reload"} {
		err := filepath.WalkDir(repository+sources, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			collectMetrics(file, out)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// collectMetrics finds the metrics of a file: those named in full, and what stands where
// a name does, as Name or as the first argument of a function of the file, when the file
// puts mailpush and a subsystem before its names.
func collectMetrics(file *ast.File, out map[string]bool) {
	subsystem := ""
	var names []string
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.KeyValueExpr:
			switch key, _ := node.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "Subsystem":
				subsystem = literal(node.Value)
			case key.Name == "Name":
				names = append(names, literal(node.Value))
			}
		case *ast.CallExpr:
			if _, local := node.Fun.(*ast.Ident); local && len(node.Args) > 0 {
				names = append(names, literal(node.Args[0]))
			}
		}
		return true
	})
	word := regexp.MustCompile(`^[a-z][a-z_]+$`)
	for _, name := range names {
		switch {
		case !word.MatchString(name):
		case strings.HasPrefix(name, "mailpush_"):
			out[name] = true
		case subsystem != "":
			out["mailpush_"+subsystem+"_"+name] = true
		}
	}
}

// literal is the text of a string literal, empty for anything else.
func literal(node ast.Expr) string {
	if basic, ok := node.(*ast.BasicLit); ok && basic.Kind == token.STRING {
		if text, err := strconv.Unquote(basic.Value); err == nil {
			return text
		}
	}
	return ""
}

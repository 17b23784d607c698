// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whoever is woken by an alert finds under its name what it means, how to see it and what
// to do.
func TestEachAlertHasItsSectionOfTheRunbook(t *testing.T) {
	t.Parallel()
	sections, known := make(map[string]map[string]string), make(map[string]bool)
	for _, a := range alertsOf(t) {
		known[a.Alert] = true
		page := "docs/runbook-" + a.group + ".md"
		if want := page + "#" + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("the runbook_url of %s is %q, want %q", a.Alert, a.Annotations["runbook_url"], want)
		}
		if sections[page] == nil {
			sections[page] = sectionsOf(t, page)
		}
		text, there := sections[page][a.Alert]
		switch {
		case !there:
			t.Errorf("%s has no section %s", page, a.Alert)
		case !strings.Contains(text, "**See**") || !strings.Contains(text, "**Do**"):
			t.Errorf("%s does not say of %s how to see it, or what to do", page, a.Alert)
		}
	}
	for page, of := range sections {
		for name := range of {
			if !known[name] {
				t.Errorf("%s has a section %s, and there is no such alert", page, name)
			}
		}
	}
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bMailpush[A-Z][A-Za-z]+`).FindAllString(string(text), -1) {
			if !known[name] {
				t.Errorf("%s speaks of %s, and there is no such alert", page, name)
			}
		}
	}
}

// sectionsOf is the text of a page by the headings of the second level that it is under.
func sectionsOf(t *testing.T, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for i, section := range strings.Split(string(text), "\n## ") {
		if heading, body, _ := strings.Cut(section, "\n"); i > 0 {
			out[heading] = body
		}
	}
	return out
}

// promtoolTests is a file of tests as promtool reads it.
type promtoolTests struct {
	RuleFiles []string `yaml:"rule_files"`
	Tests     []struct {
		Name   string
		Alerts []struct {
			Name     string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

// An alert that never fires looks like one that has had no reason to, and one that always
// does is soon looked at by nobody: promtool shows of each that it does neither.
func TestEachAlertIsTestedBothWays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(directory, "monitoring", "tests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no tests: %v", err)
	}
	fires, silent := make(map[string]bool), make(map[string]bool)
	for _, file := range files {
		tests := decodeYAML[promtoolTests](t, file)[0]
		if len(tests.RuleFiles) != 1 || tests.RuleFiles[0] != "../alerts.yaml" {
			t.Errorf("%s tests %q", file, tests.RuleFiles)
		}
		for _, test := range tests.Tests {
			fired := make(map[string]bool)
			for _, a := range test.Alerts {
				fired[a.Name] = fired[a.Name] || len(a.Expected) > 0
			}
			for name, did := range fired {
				if !strings.HasPrefix(test.Name, name+" ") {
					t.Errorf("%s: test %q is about %s", file, test.Name, name)
				}
				fires[name], silent[name] = fires[name] || did, silent[name] || !did
			}
		}
	}
	for _, a := range alertsOf(t) {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: shown to fire %v, shown to be silent %v", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}

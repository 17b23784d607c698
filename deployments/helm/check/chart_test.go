// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

const (
	chart      = "../mailpush"
	repository = "../../.."
	release    = "mailpush"
	namespace  = "mail"
)

// TestMain keeps what Helm logs of each chart out of what the tests say.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// TestChart holds the chart against everything that it is to fit, with each set of values,
// and shows that faults are found.
func TestChart(t *testing.T) {
	t.Parallel()
	tools := newTools(t)
	t.Run("sound", func(t *testing.T) {
		t.Parallel()
		for name, values := range valueSets(t) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, finding := range tools.check(t, chart, values) {
					t.Error(finding)
				}
			})
		}
	})
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		testBrokenCharts(t, tools)
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		testRefusedValues(t, tools)
	})
}

// findings are what is wrong, a line each.
type findings []string

func (f *findings) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// check tells all that is wrong with a chart and what it makes of values.
func (tools tools) check(t *testing.T, dir string, values map[string]any) findings {
	t.Helper()
	var found findings
	for _, message := range lint.RunAll(dir, clone(t, values), namespace).Messages {
		if message.Severity >= support.WarningSev {
			found.add("helm lint: %v", message)
		}
	}
	objects, err := render(dir, clone(t, values))
	if err != nil {
		found.add("helm template: %v", err)
		return found
	}
	tools.checkSchemas(t, objects, &found)
	w := read(objects, &found)
	if w.config == nil {
		found.add("there is no ConfigMap with mailpush.yaml")
		return found
	}
	tools.checkPrograms(t, w, &found)
	w.checkFiles(&found)
	w.checkPorts(&found)
	w.checkServices(&found)
	w.checkPlacement(&found)
	w.checkEnds(&found)
	w.checkPolicies(&found)
	w.checkMonitoring(t, &found)
	w.checkPackages(values, &found)
	return found
}

// valueSets are the values of testdata/values by name, and none at all.
func valueSets(t *testing.T) map[string]map[string]any {
	t.Helper()
	sets := map[string]map[string]any{"default": {}}
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values found: %v", err)
	}
	for _, file := range files {
		sets[strings.TrimSuffix(filepath.Base(file), ".yaml")] = readValues(t, file)
	}
	return sets
}

func readValues(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parseValues(t, string(text))
}

// clone copies values: Helm takes what is null out of those that it is given.
func clone(t *testing.T, values map[string]any) map[string]any {
	t.Helper()
	text, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return parseValues(t, string(text))
}

func parseValues(t *testing.T, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

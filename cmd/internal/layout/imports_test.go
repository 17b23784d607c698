// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Who imports whom, in the whole workspace, tests included.
func TestImportRules(t *testing.T) {
	t.Parallel()
	rules := table(t)
	packages := workspace(t)
	if len(packages) < 20 {
		t.Fatalf("only %d packages listed: the test looks at the wrong tree", len(packages))
	}
	for _, p := range packages {
		for _, violation := range rules.Violations(p) {
			t.Error(violation)
		}
	}
}

// A table that allows more than the workspace needs hides who depends on whom.
func TestTableAllowsNoMoreThanIsUsed(t *testing.T) {
	t.Parallel()
	rules, packages := table(t), map[string]Package{}
	for _, p := range workspace(t) {
		packages[strings.TrimPrefix(p.ImportPath, Prefix)] = p
	}
	for name, room := range rules.rooms {
		p, exists := packages[name]
		if !exists {
			if !strings.HasSuffix(name, "/...") {
				t.Errorf("house.txt has a row for %s, which is no package", name)
			}
			continue
		}
		for _, unused := range rules.unused(room, p) {
			t.Errorf("the row of %s in house.txt names %s, which it does not import", name, unused)
		}
	}
}

// unused are the names in a room's row that its imports do not need. A technology may be
// its tests' alone.
func (t Table) unused(of Room, p Package) []string {
	var unused []string
	for _, imported := range of.imports {
		name := strings.TrimSuffix(imported, "!")
		if name != "*" && !slices.Contains(p.Imports, Prefix+name) {
			unused = append(unused, name)
		}
	}
	for _, named := range of.outside {
		name := strings.TrimSuffix(named, "!")
		others := slices.DeleteFunc(slices.Clone(t.technologies), func(tech technology) bool { return tech.name != name })
		if only := (Table{technologies: others}); !slices.ContainsFunc(slices.Concat(p.Imports, p.TestImports), func(imported string) bool {
			return only.forbiddenOutside(imported, nil) != ""
		}) {
			unused = append(unused, name)
		}
	}
	return unused
}

// Each line is one import too many in a package of this repository, which the rules
// must find there.
func TestImportRulesTurnRed(t *testing.T) {
	t.Parallel()
	const worker = "services/listener-worker/internal/"
	tests := []struct{ from, imported, want string }{
		{worker + "webhook", Prefix + worker + "deliver", "webhook imports " + worker + "deliver: the row of"},
		{worker + "deliver", Prefix + worker + "webhook", "deliver imports " + worker + "webhook: the row of"},
		{worker + "deliver", "net/http", "deliver imports net/http: its row does not name http"},
		{"pkg/shard", Prefix + "services/scheduler", "pkg/shard imports services/scheduler: pkg knows no service"},
	}
	more := map[string]string{}
	for i, test := range tests {
		name := filepath.Join(root(t), test.from, fmt.Sprintf("import%d.go", i))
		more[name] = fmt.Sprintf("package %s\n\nimport _ %q\n", path.Base(test.from), test.imported)
	}
	found := map[string]string{}
	for _, p := range workspace(t, overlay(t, more)) {
		found[p.ImportPath] = strings.Join(table(t).Violations(p), "\n")
	}
	for _, test := range tests {
		if got := found[Prefix+test.from]; !strings.Contains(got, test.want) {
			t.Errorf("%s imports %s: got %q, want %q", test.from, test.imported, got, test.want)
		}
	}
}

// overlay is an argument of the go command that makes it see more files.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	directory, replace := t.TempDir(), map[string]string{}
	for name, source := range files {
		replace[name] = filepath.Join(directory, filepath.Base(name))
		if err := os.WriteFile(replace[name], []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(directory, "overlay.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + name
}

// workspace lists our packages with their imports.
func workspace(t *testing.T, flags ...string) []Package {
	t.Helper()
	type listed struct {
		ImportPath                         string
		Imports, TestImports, XTestImports []string
	}
	args := slices.Concat([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports"}, flags, []string{"work"})
	var packages []Package
	for _, p := range decodeAll[listed](t, goCommand(t, root(t), args...)) {
		packages = append(packages, Package{p.ImportPath, p.Imports, slices.Concat(p.TestImports, p.XTestImports)})
	}
	return packages
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"slices"
	"strings"
	"testing"
)

// A shipped program has no library for tests in it, and no shipped module requires one
// that is not named.
func TestShippedModulesRequireNoTestLibrary(t *testing.T) {
	t.Parallel()
	modules, programs := shipped(t)
	for _, violation := range TestLibraryViolations(modules, programs) {
		t.Error(violation)
	}
	for _, module := range Unneeded(modules) {
		t.Errorf("no module requires %s for its tests alone: take it out of the table", module)
	}
}

// The rules must be able to say no.
func TestTestLibraryViolations(t *testing.T) {
	t.Parallel()
	const cobra, cmp, porcupine, testify = "github.com/spf13/cobra", "github.com/google/go-cmp", "github.com/anishathalye/porcupine", "github.com/stretchr/testify"
	const goleak = "go.uber.org/goleak"
	const model, metrics = "github.com/prometheus/client_model", "github.com/prometheus/client_golang"
	cmd := func(requires ...string) Module {
		return Module{Path: Prefix + "cmd", Requires: append(requires, cobra), Shipped: []string{"fmt", cobra, cobra + "/doc"}}
	}
	mailpush := func(modules ...string) []Program { return []Program{{"mailpush", append(modules, cobra)}} }
	for name, test := range map[string]struct {
		modules  []Module
		programs []Program
		want     string // all there is to say
	}{
		"nothing for tests":              {[]Module{cmd()}, mailpush(), ""},
		"a library that the table names": {[]Module{cmd(cmp)}, mailpush(), ""},
		"one that it does not name": {
			[]Module{cmd(porcupine)}, mailpush(),
			"cmd requires github.com/anishathalye/porcupine for its tests alone: the table of test libraries does not name it",
		},
		"one for a service": {
			[]Module{cmd(), {Path: Prefix + "services/scheduler", Requires: []string{testify}}}, mailpush(),
			"services/scheduler requires github.com/stretchr/testify for its tests alone: the table of test libraries does not name it",
		},
		"tests use what another module ships": {
			[]Module{cmd(metrics), {Path: Prefix + "pkg", Requires: []string{metrics}, Shipped: []string{metrics + "/prometheus"}}}, mailpush(metrics), "",
		},
		"a path that only begins like it is another's": {
			[]Module{{Path: Prefix + "pkg", Requires: []string{testify}, Shipped: []string{testify + "-next/assert"}}}, nil,
			"pkg requires github.com/stretchr/testify for its tests alone: the table of test libraries does not name it",
		},
		"trials may":                          {[]Module{cmd(), {Path: Trials, Requires: []string{porcupine}}}, mailpush(), ""},
		"nothing requires trials":             {[]Module{cmd(Trials)}, mailpush(), "cmd requires mailpush.internal/trials for its tests alone: the table of test libraries does not name it"},
		"trials are in no program":            {[]Module{cmd()}, mailpush(Trials), "mailpush is built with mailpush.internal/trials, which is for tests"},
		"a program with a test library in it": {[]Module{cmd(goleak)}, mailpush(goleak), "mailpush is built with go.uber.org/goleak, which is for tests"},
		"one that belongs into another program": {
			[]Module{cmd(cmp)}, []Program{{"mailpush", []string{cmp}}, {"pushusers", []string{cmp}}}, "pushusers is built with github.com/google/go-cmp, which is for tests",
		},
		"a library that a shipped one brings":  {[]Module{cmd(model)}, mailpush(metrics, model), ""},
		"what no module of ours says it needs": {[]Module{cmd()}, mailpush(metrics), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(TestLibraryViolations(test.modules, test.programs), "\n"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// shipped are our modules, with what their shipped packages import, and the programs.
func shipped(t *testing.T) ([]Module, []Program) {
	t.Helper()
	programs, packages := shippedPackages(t)
	var modules []Module
	for path, mod := range ourModules(t) {
		m := Module{Path: path, Requires: direct(t, mod.dir)}
		for _, p := range packages {
			if p.Module.Path == path {
				m.Shipped = append(m.Shipped, p.Imports...)
			}
		}
		modules = append(modules, m)
	}
	return modules, programs
}

// direct are the modules that the packages of the module in a directory import.
func direct(t *testing.T, dir string) []string {
	t.Helper()
	type requires struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	var found []string
	for _, r := range decodeAll[requires](t, goCommand(t, dir, "mod", "edit", "-json"))[0].Require {
		if !r.Indirect {
			found = append(found, r.Path)
		}
	}
	return found
}

// listedPackage is what go list says of a package.
type listedPackage struct {
	ImportPath, Name string
	Imports          []string
	Module           struct{ Path string }
}

// shippedPackages are the programs, which lie directly below cmd, and all packages that
// any of them is built from.
func shippedPackages(t *testing.T) (programs []Program, packages []listedPackage) {
	t.Helper()
	list := func(args ...string) []listedPackage {
		return decodeAll[listedPackage](t, goCommand(t, root(t), append([]string{"list", "-json=ImportPath,Name,Imports,Module"}, args...)...))
	}
	for _, main := range list("./cmd/...") {
		name := strings.TrimPrefix(main.ImportPath, Prefix+"cmd/")
		if main.Name != "main" || strings.Contains(name, "/") {
			continue
		}
		program := Program{Name: name}
		for _, p := range list("-deps", main.ImportPath) {
			if p.Module.Path != "" && !slices.Contains(program.Modules, p.Module.Path) {
				program.Modules = append(program.Modules, p.Module.Path)
			}
			packages = append(packages, p)
		}
		programs = append(programs, program)
	}
	if len(programs) < 6 {
		t.Fatalf("only %d programs found: the test looks at the wrong tree", len(programs))
	}
	return programs, packages
}

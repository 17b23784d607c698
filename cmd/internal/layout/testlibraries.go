// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Trials is the one module that may require what it likes: nothing of it is shipped, and
// no other module requires it.
const Trials = Prefix + "trials"

// testLibrary is a module that shipped modules may require although no shipped package
// imports it.
type testLibrary struct {
	module, why string
	// in are the programs that a library which is shipped brings it into; * is all.
	in string
}

// testLibraries is short on purpose: what is required reaches everybody who builds from
// a module, and whatever else tests may want, they have done without.
func testLibraries() []testLibrary {
	return []testLibrary{
		{"github.com/google/go-cmp", "shows how two values differ; etcd's server compares by it, too", "mailpush"},
		{"go.uber.org/goleak", "finds goroutines that a test leaves", ""},
		{"pgregory.net/rapid", "makes up cases for properties, and the smallest that fails", ""},
		{"github.com/rogpeppe/go-internal", "tests of the command line are scripts", ""},
		{"github.com/emersion/go-smtp", "delivers mail to a private Dovecot", ""},
		{"github.com/prometheus/client_model", "reads what a metric says; prometheus says it with that", "*"},
	}
}

// Module is what the rules need to know of a module of ours.
type Module struct {
	Path string
	// Requires are the modules that its own packages import, tests included.
	Requires []string
	// Shipped are the imports of those of its packages that are part of a program.
	Shipped []string
}

// Program is a program that is shipped, and the modules its packages come from.
type Program struct {
	Name    string
	Modules []string
}

// TestLibraryViolations names each module that requires a library for its tests alone
// and may not, and each program that such a library is part of.
func TestLibraryViolations(modules []Module, programs []Program) []string {
	required := unshipped(modules)
	allowed := make(map[string]testLibrary)
	for _, library := range testLibraries() {
		allowed[library.module] = library
	}
	var found []string
	for _, library := range slices.Sorted(maps.Keys(required)) {
		if _, ok := allowed[library]; !ok {
			found = append(found, fmt.Sprintf("%s requires %s for its tests alone: the table of test libraries does not name it",
				strings.Join(required[library], ", "), library))
		}
	}
	for _, program := range programs {
		for _, module := range program.Modules {
			if required[module] != nil && allowed[module].in != "*" && allowed[module].in != program.Name || module == Trials {
				found = append(found, fmt.Sprintf("%s is built with %s, which is for tests", program.Name, module))
			}
		}
	}
	return found
}

// unshipped are the modules that shipped ones require although no shipped package
// imports them, each with those who do.
func unshipped(modules []Module) map[string][]string {
	required := make(map[string][]string)
	for _, m := range modules {
		if m.Path == Trials {
			continue
		}
		for _, r := range m.Requires {
			if r == Trials || !strings.HasPrefix(r, Prefix) {
				required[r] = append(required[r], strings.TrimPrefix(m.Path, Prefix))
			}
		}
	}
	for _, m := range modules {
		for _, imported := range m.Shipped {
			delete(required, moduleOf(imported, m.Requires))
		}
	}
	return required
}

// moduleOf is the module of an import among those that its importer requires; empty for
// the standard library.
func moduleOf(imported string, requires []string) string {
	longest := ""
	for _, module := range requires {
		if len(module) > len(longest) && (imported == module || strings.HasPrefix(imported, module+"/")) {
			longest = module
		}
	}
	return longest
}

// Unneeded names the rows of the table of test libraries that no module needs.
func Unneeded(modules []Module) []string {
	required := unshipped(modules)
	var found []string
	for _, library := range testLibraries() {
		if required[library.module] == nil {
			found = append(found, library.module)
		}
	}
	return found
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package layout holds the shape of the repository: who may import whom, what each
// go.mod must say, how each file begins. Invariant: its tests read the repository as
// it is, through the go command, and fail on any package or file that breaks a rule.
package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Prefix is the import path all our modules start with.
const Prefix = "mailpush.internal/"

// Package is what the rules need to know of a package.
type Package struct {
	ImportPath string
	// Imports are those of the program, TestImports those of its tests alone.
	Imports, TestImports []string
}

// Violations names the imports of p that break a rule, each with the rule.
func (t Table) Violations(p Package) []string {
	from := strings.TrimPrefix(p.ImportPath, Prefix)
	var found []string
	say := func(imported, why string) {
		if why != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", from, strings.TrimPrefix(imported, Prefix), why))
		}
	}
	for _, imported := range slices.Concat(p.Imports, p.TestImports) {
		say(imported, forbiddenLayer(from, imported))
	}
	if layer(from) == "proto" {
		return found // generated
	}
	room, ok := t.room(from)
	if !ok {
		return append(found, from+" has no row in house.txt")
	}
	for _, imported := range p.Imports {
		say(imported, t.forbiddenImport(room, imported))
		say(imported, t.forbiddenOutside(imported, slices.Concat(room.outside, t.ranks[room.Rank].free)))
	}
	for _, imported := range p.TestImports {
		say(imported, t.forbiddenOutside(imported, t.outsideOfTests(room)))
	}
	return found
}

// room is the row of a package: its own, else the nearest above that ends in "...".
func (t Table) room(p string) (Room, bool) {
	room, ok := t.rooms[p]
	for above := p; !ok && above != "."; {
		above = path.Dir(above)
		room, ok = t.rooms[path.Join(above, "...")]
	}
	return room, ok
}

// forbiddenImport says why a room may not import a package of its own module, or of
// pkg; empty when it may.
func (t Table) forbiddenImport(from Room, imported string) string {
	name, ours := strings.CutPrefix(imported, Prefix)
	if !ours || layer(name) == "proto" {
		return ""
	}
	to, ok := t.room(name)
	switch {
	case !ok:
		return "it has no row in house.txt"
	case slices.Contains(from.imports, name), slices.Contains(from.imports, name+"!"):
		return ""
	case to.group == "pkg" && to.Rank == "base":
		return ""
	case slices.Contains(from.imports, "*") && has(t.ranks[from.Rank].imports, to.Rank):
		return ""
	case to.Rank == "kit":
		return "test kits are for tests, and for the demo"
	default:
		return fmt.Sprintf("the row of %s, a package of rank %s, does not name it, of rank %s", from.Path, from.Rank, to.Rank)
	}
}

// forbiddenOutside says which technology an import is that is not among those allowed;
// empty when it is.
func (t Table) forbiddenOutside(imported string, allowed []string) string {
	for _, tech := range t.technologies {
		if slices.ContainsFunc(tech.packages, matching(imported)) && !has(allowed, tech.name) {
			return "its row does not name " + tech.name
		}
	}
	return ""
}

// outsideOfTests are the technologies that the tests of a room may use.
func (t Table) outsideOfTests(of Room) []string {
	allowed := t.tests
	for _, room := range t.rooms {
		if room.group == of.group {
			allowed = slices.Concat(allowed, room.outside)
		}
	}
	return allowed
}

// layer is the module a package is in: proto, pkg, cmd, trials or services/<name>.
func layer(p string) string {
	elements := strings.Split(p, "/")
	if elements[0] == "services" && len(elements) > 1 {
		return path.Join(elements[:2]...)
	}
	return elements[0]
}

// forbiddenLayer says why a module may not import another one; empty when it may.
func forbiddenLayer(p, imported string) string {
	name, ours := strings.CutPrefix(imported, Prefix)
	from, to := layer(p), layer(name)
	switch {
	case !ours, from == to, to == "proto" && from != "proto", from == "trials":
		return ""
	case from == "proto":
		return "the contract imports nothing of ours"
	case to == "trials":
		return "nothing that is shipped imports a trial"
	case from == "cmd":
		return ""
	case to == "cmd":
		return "nothing imports a program"
	case from == "pkg":
		return "pkg knows no service"
	case to == "pkg":
		return ""
	default:
		return "services speak to each other by RPC only"
	}
}

// matching returns a match of patterns with an import path: a * stands for a part of
// one element, and /... at the end for the path before it and everything below.
func matching(imported string) func(pattern string) bool {
	return func(pattern string) bool {
		if above, ok := strings.CutSuffix(pattern, "/..."); ok {
			return imported == above || strings.HasPrefix(imported, above+"/")
		}
		matched, err := path.Match(pattern, imported)
		return err == nil && matched
	}
}

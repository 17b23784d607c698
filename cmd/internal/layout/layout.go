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

// technology is a dependency that only a few packages may know. A path stands for
// itself and everything below it; a * stands for one element.
type technology struct {
	imports []string
	only    []string
	why     string
}

func technologies() []technology {
	return []technology{
		{
			[]string{"gorm.io", "github.com/go-gormigrate/gormigrate"},
			[]string{"services/*/internal/store", "pkg/sqldb", "pkg/sqltest"},
			"only store packages speak SQL",
		},
		{
			[]string{"github.com/emersion/go-imap"},
			[]string{"services/listener-worker", "pkg/imaptest", "pkg/dovecottest"},
			"only the listener-worker and the test kits speak IMAP",
		},
		{
			[]string{"crypto/aes", "crypto/cipher"},
			[]string{"services/credential-vault/internal/seal"},
			"only the vault's sealing package encrypts",
		},
		{
			[]string{"go.etcd.io"},
			[]string{"pkg/cluster"},
			"only pkg/cluster speaks to etcd",
		},
	}
}

// Violations names the imports of p that break a rule, each with the rule.
func Violations(p Package) []string {
	var found []string
	from := strings.TrimPrefix(p.ImportPath, Prefix)
	for _, imported := range slices.Concat(p.Imports, p.TestImports) {
		if why := forbidden(from, imported); why != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", from, imported, why))
		}
	}
	if why := unnamed(from); why != "" {
		found = append(found, fmt.Sprintf("%s: %s", from, why))
	}
	for _, imported := range p.Imports {
		if why := forbiddenInside(from, strings.TrimPrefix(imported, Prefix)); why != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", from, imported, why))
		}
		if isTestKit(imported) && strings.HasPrefix(from, "services/") && path.Base(from) != "bench" {
			found = append(found, fmt.Sprintf("%s imports %s: test kits are for tests, benchmarks and the demo", from, imported))
		}
	}
	return found
}

// forbidden says why from may not import imported; empty when it may.
func forbidden(from, imported string) string {
	if ours, ok := strings.CutPrefix(imported, Prefix); ok {
		return forbiddenLayer(layer(from), layer(ours))
	}
	for _, tech := range technologies() {
		if slices.ContainsFunc(tech.imports, below(imported)) && !slices.ContainsFunc(tech.only, below(from)) {
			return tech.why
		}
	}
	return ""
}

// layer is the module a package is in: proto, pkg, cmd or services/<name>.
func layer(p string) string {
	elements := strings.Split(p, "/")
	if elements[0] == "services" && len(elements) > 1 {
		return path.Join(elements[:2]...)
	}
	return elements[0]
}

func forbiddenLayer(from, to string) string {
	switch {
	case from == to, to == "proto", from == "cmd":
		return ""
	case from == "proto":
		return "the contract imports nothing of ours"
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

func isTestKit(imported string) bool {
	return strings.HasPrefix(imported, Prefix+"pkg/") && strings.HasSuffix(imported, "test")
}

// below returns a match of patterns that p is at or below.
func below(p string) func(pattern string) bool {
	return func(pattern string) bool {
		wanted, got := strings.Split(pattern, "/"), strings.Split(p, "/")
		if len(got) < len(wanted) {
			return false
		}
		for i, element := range wanted {
			if element != "*" && element != got[i] {
				return false
			}
		}
		return true
	}
}

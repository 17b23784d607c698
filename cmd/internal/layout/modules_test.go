// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"path/filepath"
	"strings"
	"testing"
)

// goMod is what go mod edit -json says of a go.mod.
type goMod struct {
	dir       string
	Module    struct{ Path string }
	Go        string
	Toolchain string
	Require   []struct{ Path, Version string }
	Replace   []struct {
		Old, New struct{ Path, Version string }
	}
}

// The workspace hides what is missing in a go.mod. Each names every module of ours
// that it needs, indirectly too, at v0.0.0 and where it lies beside it: so that each
// module builds alone.
func TestModulesNameEachOther(t *testing.T) {
	t.Parallel()
	modules := ourModules(t)
	for path, mod := range modules {
		t.Run(strings.TrimPrefix(path, Prefix), func(t *testing.T) {
			t.Parallel()
			replaced := map[string]bool{}
			for _, r := range mod.Replace {
				target, ours := modules[r.Old.Path]
				if !ours {
					t.Errorf("replace %s: only modules of ours are replaced", r.Old.Path)
					continue
				}
				replaced[r.Old.Path] = true
				if got := filepath.Join(mod.dir, r.New.Path); got != target.dir || filepath.IsAbs(r.New.Path) || r.Old.Version != "" {
					t.Errorf("replace %s => %s: want its relative directory, and no version", r.Old.Path, r.New.Path)
				}
			}
			required := siblings(mod)
			for sibling, version := range required {
				if version != "v0.0.0" {
					t.Errorf("require %s %s: want v0.0.0", sibling, version)
				}
				if !replaced[sibling] {
					t.Errorf("require %s has no replace", sibling)
				}
				for indirect := range siblings(modules[sibling]) {
					if required[indirect] == "" && indirect != path {
						t.Errorf("%s needs %s: require and replace it here too", sibling, indirect)
					}
				}
			}
			for sibling := range replaced {
				if required[sibling] == "" {
					t.Errorf("replace %s has no require", sibling)
				}
			}
		})
	}
}

func TestModulesAgreeOnGo(t *testing.T) {
	t.Parallel()
	work := decodeAll[struct{ Go string }](t, goCommand(t, root(t), "work", "edit", "-json"))[0]
	for path, mod := range ourModules(t) {
		if mod.Go != work.Go {
			t.Errorf("%s says go %s, go.work says go %s", path, mod.Go, work.Go)
		}
		if mod.Toolchain != "" {
			t.Errorf("%s names toolchain %s: .go-version does", path, mod.Toolchain)
		}
	}
}

// siblings are the modules of ours that mod requires, with their versions.
func siblings(mod goMod) map[string]string {
	found := map[string]string{}
	for _, r := range mod.Require {
		if strings.HasPrefix(r.Path, Prefix) {
			found[r.Path] = r.Version
		}
	}
	return found
}

// ourModules are the modules of the workspace by path.
func ourModules(t *testing.T) map[string]goMod {
	t.Helper()
	modules := map[string]goMod{}
	for dir := range strings.FieldsSeq(string(goCommand(t, root(t), "list", "-m", "-f", "{{.Dir}}"))) {
		for _, mod := range decodeAll[goMod](t, goCommand(t, dir, "mod", "edit", "-json")) {
			mod.dir = dir
			modules[mod.Module.Path] = mod
		}
	}
	if len(modules) < 7 {
		t.Fatalf("only %d modules found", len(modules))
	}
	return modules
}

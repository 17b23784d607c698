// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
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
)

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

// exportedMetrics are the names of metrics in the sources of services and of what they have
// in common, histograms without a suffix.
func exportedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, tree := range []string{"services", "pkg", "cmd"} {
		err := filepath.WalkDir(filepath.Join(repository, tree), func(path string, entry fs.DirEntry, err error) error {
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

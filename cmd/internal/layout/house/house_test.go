// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/layout"
)

func TestMeasure(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for name, text := range map[string]string{
		"a.go": "package a\n\nvar A = 1\n", "b.go": "package a\n", "a_test.go": "package a\n\n", "README.md": "# a\n",
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := measure(directory); err != nil || got != (size{source: 4, tests: 2}) {
		t.Errorf("got %+v and %v, want 4 lines of source and 2 of tests", got, err)
	}
	if _, err := measure(t.TempDir()); err == nil {
		t.Error("a directory without Go files is measured as a package")
	}
}

func TestHallsOfThisRepository(t *testing.T) {
	t.Parallel()
	table, err := layout.Read()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := printHalls(&out, filepath.Join("..", "..", "..", ".."), table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"listener-worker", "delivered", "deliver/pump", "credential-vault", "2 halls and the face"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not among what is printed", want)
		}
	}
}

// What only tests reach is dead in a shipped package, and alive in a test kit.
func TestDeadCodeThatCounts(t *testing.T) {
	t.Parallel()
	table, err := layout.Read()
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (packages []found) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &packages); err != nil {
			t.Fatal(err)
		}
		return packages
	}
	const (
		tested = `{"Path":"mailpush.internal/pkg/shard","Funcs":[{"Name":"Of","Position":{"File":"pkg/shard/shard.go","Line":7}}]}`
		helper = `{"Path":"mailpush.internal/pkg/sqltest","Funcs":[{"Name":"Each","Position":{"File":"pkg/sqltest/sqltest.go","Line":8}}]}`
		unused = `{"Path":"mailpush.internal/pkg/sqltest","Funcs":[{"Name":"None","Position":{"File":"pkg/sqltest/sqltest.go","Line":9}}]}`
	)
	got := count(table, read("["+tested+","+helper+","+unused+"]"), read("["+unused+"]"))
	want := []string{"pkg/shard/shard.go:7: Of", "pkg/sqltest/sqltest.go:9: None"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "README.md"), []byte("# mailpush\n\nText.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := layout.Table{Services: []layout.Service{
		{Halls: []layout.Hall{{}, {}}},
		{Halls: []layout.Hall{{}}},
	}}
	var out strings.Builder
	if err := printResults(&out, root, table, 4); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "result: readme_lines=3\nresult: halls=2\nresult: deadcode=4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

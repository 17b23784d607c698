// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every file we write says whose it is and under which licence, in its first lines.
func TestLicenceHeaders(t *testing.T) {
	t.Parallel()
	const holder, licence = "SPDX-FileCopyrightText: The mailpush authors", "SPDX-License-Identifier: Apache-2.0"
	checked := 0
	for _, name := range repositoryFiles(t) {
		comment := commentOf(name)
		if comment == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		// A script's first line names its interpreter.
		if rest, isScript := bytes.CutPrefix(text, []byte("#!/usr/bin/env bash\n")); isScript {
			text = rest
		}
		if !bytes.HasPrefix(text, []byte(comment+holder+"\n"+comment+licence+"\n")) {
			t.Errorf("%s does not begin with %q and %q", name, comment+holder, comment+licence)
		}
		checked++
	}
	if checked < 20 {
		t.Fatalf("only %d files looked at: the test looks at the wrong tree", checked)
	}
}

// commentOf is how a line of comment starts in the named file; empty for files that
// need no header: generated ones, data, and files without comments.
func commentOf(name string) string {
	switch {
	case strings.HasPrefix(name, "proto/gen/"), strings.HasPrefix(name, "proto/third_party/"), strings.Contains(name, "/testdata/"):
		return ""
	case filepath.Ext(name) == ".go", filepath.Ext(name) == ".proto":
		return "// "
	case strings.HasPrefix(name, "scripts/"), strings.HasPrefix(name, ".ci/"), name == "Makefile", name == ".golangci.yml",
		strings.HasSuffix(name, ".containerfile"):
		return "# "
	}
	return ""
}

// root is the top of the repository.
func root(t *testing.T) string {
	t.Helper()
	work := strings.TrimSpace(string(goCommand(t, ".", "env", "GOWORK")))
	if filepath.Base(work) != "go.work" {
		t.Fatalf("GOWORK is %q: these tests look at the whole workspace, run them in it", work)
	}
	return filepath.Dir(work)
}

// repositoryFiles are all files that are, or would be, committed.
func repositoryFiles(t *testing.T) []string {
	t.Helper()
	top := root(t)
	out := command(t, top, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	var names []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join(top, name)); errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		names = append(names, name)
	}
	return names
}

func goCommand(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	return command(t, dir, "go", args...)
}

func command(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s %s: %v\n%s", name, strings.Join(args, " "), err, complaint.String())
	}
	return out
}

// decodeAll decodes a stream of JSON values.
func decodeAll[T any](t *testing.T, text []byte) []T {
	t.Helper()
	var all []T
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var one T
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/identity"
)

func TestEveryProgramHasAContainerFile(t *testing.T) {
	t.Parallel()
	for _, name := range append(slices.Clone(identity.Services()), "pushusers") {
		mustExist(t, containerFile(name))
		mustExist(t, filepath.Join(repository, "cmd", name, "main.go"))
	}
}

// Each container file copies enough to build its program without the workspace, and
// the sources of no module that the program does not import.
func TestContainersCopyWhatTheyNeed(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "container/*.containerfile") {
		name := strings.TrimSuffix(filepath.Base(file), ".containerfile")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := readContainerFile(t, file)
			context := t.TempDir()
			for _, source := range c.copied {
				copyInto(t, context, source)
			}
			needed := modulesOf(t, context, name)
			if diff := cmp.Diff(needed, c.sources()); diff != "" {
				t.Errorf("modules whose sources it needs and copies (-needs +copies):\n%s", diff)
			}
			if !slices.Contains(c.lines, `RUN cd cmd && go build -ldflags "-s -w -X main.version=$VERSION" -o /out/`+name+" ./"+name) {
				t.Errorf("it does not build ./%s", name)
			}
			if !slices.Contains(c.lines, `ENTRYPOINT ["/usr/bin/`+name+`"]`) {
				t.Errorf("it does not start %s", name)
			}
			if !slices.Contains(c.lines, "USER 65532:65532") || !slices.Contains(c.lines, "FROM scratch") {
				t.Error("want an image of the program alone that does not run as root")
			}
		})
	}
}

func TestContainersBuildWithTheGoVersionInUse(t *testing.T) {
	t.Parallel()
	version, err := os.ReadFile(filepath.Join(repository, ".go-version"))
	if err != nil {
		t.Fatal(err)
	}
	want := "FROM golang:" + strings.TrimSpace(string(version)) + "-bookworm AS build"
	for _, file := range glob(t, "container/*.containerfile") {
		if !slices.Contains(readContainerFile(t, file).lines, want) {
			t.Errorf("%s does not say %q", file, want)
		}
	}
}

type container struct {
	lines  []string
	copied []string // out of the repository, in order
}

func containerFile(name string) string {
	return filepath.Join(directory, "container", name+".containerfile")
}

func readContainerFile(t *testing.T, file string) container {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := container{lines: strings.Split(string(text), "\n")}
	for _, line := range c.lines {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--from") {
			continue
		}
		for _, source := range words[1 : len(words)-1] {
			target := words[len(words)-1]
			if filepath.Clean(source) != filepath.Clean(target) && filepath.Dir(source) != filepath.Clean(target) {
				t.Errorf("%q moves files: the modules find each other by relative path", line)
			}
			c.copied = append(c.copied, filepath.Clean(source))
		}
	}
	return c
}

// sources are the directories that are copied whole, sorted.
func (c container) sources() []string {
	whole := slices.DeleteFunc(slices.Clone(c.copied), func(source string) bool {
		return strings.HasPrefix(filepath.Base(source), "go.")
	})
	slices.Sort(whole)
	return whole
}

// copyInto copies a file or directory of the repository as COPY would.
func copyInto(t *testing.T, context, source string) {
	t.Helper()
	from, to := filepath.Join(repository, source), filepath.Join(context, source)
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if !info.IsDir() {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o750)
		}
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	// CopyFS refuses to overwrite the go.mod that an earlier COPY has brought.
	for _, name := range []string{"go.mod", "go.sum"} {
		_ = os.Remove(filepath.Join(to, name))
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// modulesOf lists the directories of the modules of ours that a program is built
// from, sorted. It fails when anything the program imports is not in context.
func modulesOf(t *testing.T, context, name string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./"+name)
	list.Dir = filepath.Join(context, "cmd")
	list.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var complaint strings.Builder
	list.Stderr = &complaint
	out, err := list.Output()
	if err != nil {
		t.Fatalf("building %s from what is copied: %v\n%s", name, err, complaint.String())
	}
	var found []string
	for module := range strings.FieldsSeq(string(out)) {
		if directory, ours := strings.CutPrefix(module, "mailpush.internal/"); ours {
			found = append(found, directory)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

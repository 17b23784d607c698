// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	root      = "../../.."
	frontPage = "README.md"
)

// pages is how many lines the documents may have, by pattern of their path. All that
// match a pattern are read; each must match something.
func pages() map[string]int {
	return map[string]int{
		frontPage:               200,
		"docs/*.md":             249,
		"services/*/README.md":  60, // one screen
		"ARCHITECTURE.md":       200,
		"CONTRIBUTING.md":       200,
		"deployments/README.md": 200,
	}
}

func TestDocumentsFitOnTheirPages(t *testing.T) {
	t.Parallel()
	r := readRepository(t)
	for pattern, most := range pages() {
		found := 0
		for _, d := range r.documents {
			if matched, _ := path.Match(pattern, d.name); !matched {
				continue
			}
			found++
			if d.lines > most {
				t.Errorf("%s has %d lines, want %d at most", d.name, d.lines, most)
			}
		}
		if found == 0 {
			t.Errorf("no document matches %s", pattern)
		}
	}
}

func TestDocumentsSpeakOfWhatExists(t *testing.T) {
	t.Parallel()
	r := readRepository(t)
	for _, d := range r.documents {
		for _, finding := range r.check(d) {
			t.Errorf("%s: %s", d.name, finding)
		}
	}
}

func TestTheFrontPageLeadsToEveryDocument(t *testing.T) {
	t.Parallel()
	r := readRepository(t)
	links := r.documents[frontPage].links()
	for name := range r.documents {
		if name != frontPage && !slices.Contains(links, name) {
			t.Errorf("%s does not link to %s", frontPage, name)
		}
	}
}

// What the tests above are to find is found.
func TestCheckFindsWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	r := repository{
		files:   map[string]bool{"docs/api.md": true, "services/vault/README.md": true, "services/vault/internal/seal/seal.go": true},
		dirs:    map[string]bool{"docs": true, "services": true, "services/vault": true, "services/vault/internal/seal": true},
		top:     map[string]bool{"docs": true, "services": true},
		targets: map[string]bool{"demo": true},
		documents: map[string]document{
			"docs/api.md": parse("docs/api.md", "# The `API`, all of it\n"),
		},
	}
	d := parse("services/vault/README.md", strings.Join([]string{
		"[good](../../docs/api.md#the-api-all-of-it), [elsewhere](https://example.org/x)",
		"[bad file](docs/api.md), [bad", "heading](../../docs/api.md#the-api)",
		"`make demo`, `make dome`, `SOAK=1h`, `worker/<id>`, `want/`, `services/a`",
		"`internal/seal`, `internal/sale`, `seal.go`, `sale.go`, `docs/*.md`, `docs/*.txt`, `go test ./services/vault/...`, `vault/internal/none`",
		"```", "$ make demo more=1 # make no", "make dom", "[not a link](nowhere)", "```",
	}, "\n"))
	want := []string{
		"links to docs/api.md, which leads to no file: services/vault/docs/api.md",
		"links to ../../docs/api.md#the-api, but docs/api.md has no such heading",
		"names docs/*.txt, which does not exist",
		"names internal/sale, which does not exist",
		"names sale.go, which does not exist",
		"names vault/internal/none, which does not exist",
		"names make dome, which is no target",
		"names make dom, which is no target",
	}
	if diff := cmp.Diff(want, r.check(d)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// repository is what documents may speak of.
type repository struct {
	files, dirs map[string]bool // all that are, or would be, committed
	top         map[string]bool // the directories at the top
	targets     map[string]bool // of the Makefile
	documents   map[string]document
}

// check tells what a document speaks of that does not exist.
func (r repository) check(d document) []string {
	var found []string
	for _, link := range d.links() {
		if finding := r.checkLink(d, link); finding != "" {
			found = append(found, finding)
		}
	}
	paths := d.paths(r)
	for _, word := range slices.Sorted(maps.Keys(paths)) {
		if !slices.ContainsFunc(paths[word], r.exists) {
			found = append(found, fmt.Sprintf("names %s, which does not exist", word))
		}
	}
	for _, target := range d.targets() {
		if !r.targets[target] {
			found = append(found, fmt.Sprintf("names make %s, which is no target", target))
		}
	}
	return found
}

func (r repository) checkLink(d document, link string) string {
	if strings.Contains(link, "://") {
		return "" // not ours
	}
	file, heading, _ := strings.Cut(link, "#")
	target := d.name
	if file != "" {
		target = path.Join(path.Dir(d.name), file)
	}
	if !r.exists(target) {
		return fmt.Sprintf("links to %s, which leads to no file: %s", link, target)
	}
	if heading != "" && !r.documents[target].anchors()[heading] {
		return fmt.Sprintf("links to %s, but %s has no such heading", link, target)
	}
	return ""
}

// exists tells whether a file or directory, or any that matches a pattern, is there.
func (r repository) exists(pattern string) bool {
	if r.files[pattern] || r.dirs[pattern] {
		return true
	}
	matches := func(name string) bool {
		matched, _ := path.Match(pattern, name)
		return matched
	}
	return strings.Contains(pattern, "*") &&
		(slices.ContainsFunc(slices.Collect(maps.Keys(r.files)), matches) || slices.ContainsFunc(slices.Collect(maps.Keys(r.dirs)), matches))
}

func readRepository(t *testing.T) repository {
	t.Helper()
	r := repository{
		files: map[string]bool{}, dirs: map[string]bool{}, top: map[string]bool{},
		targets: map[string]bool{}, documents: map[string]document{},
	}
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing the repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			continue // deleted, and not committed yet
		}
		r.files[name] = true
		dir := path.Dir(name)
		for ; dir != "."; dir = path.Dir(dir) {
			r.dirs[dir] = true
			r.top[strings.SplitN(dir, "/", 2)[0]] = true
		}
		for pattern := range pages() {
			if matched, _ := path.Match(pattern, name); matched {
				r.documents[name] = parse(name, read(t, name))
			}
		}
	}
	for line := range strings.Lines(read(t, "Makefile")) {
		if target, _, isRule := strings.Cut(line, ":"); isRule && !strings.ContainsAny(target, " \t$.=") {
			r.targets[target] = true
		}
	}
	return r
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// document is a Markdown file, taken apart as far as the tests look at it.
type document struct {
	name  string   // its path in the repository
	lines int      // how long it is
	prose string   // all but blocks of code
	code  []string // the lines of blocks of code
}

const (
	fence  = "```"
	indent = "    " // what makes a line code without a fence
)

func parse(name, text string) document {
	d := document{name: name, lines: strings.Count(text, "\n")}
	var prose []string
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, fence):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, indent):
			d.code = append(d.code, line)
		default:
			prose = append(prose, line)
		}
	}
	d.prose = strings.Join(prose, "\n")
	return d
}

var (
	linkPattern    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	spanPattern    = regexp.MustCompile("`([^`\n]+)`")
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
)

// links are the targets of the document's links.
func (d document) links() []string { return submatches(linkPattern, d.prose) }

// spans are the texts between backticks.
func (d document) spans() []string { return submatches(spanPattern, d.prose) }

// anchors are the names under which its headings can be linked to.
func (d document) anchors() map[string]bool {
	found := map[string]bool{}
	for _, heading := range submatches(headingPattern, d.prose) {
		name := anchor(heading)
		for n := 1; found[name]; n++ { // of the same words
			name = fmt.Sprintf("%s-%d", anchor(heading), n)
		}
		found[name] = true
	}
	return found
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// targets are what the document has make do, in its text and in its examples.
func (d document) targets() []string {
	var found []string
	for _, line := range append(d.spans(), d.code...) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
		if len(words) == 0 || words[0] != "make" {
			continue
		}
		for _, word := range words[1:] {
			if strings.HasPrefix(word, "#") {
				break
			}
			if !strings.Contains(word, "=") {
				found = append(found, word)
			}
		}
	}
	return found
}

var (
	pathPattern = regexp.MustCompile(`^[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*$`)
	placeholder = regexp.MustCompile(`/[a-z](/|$)`)
)

// paths are the paths of the repository that the document names between backticks, each
// as where it may be. The first element tells a path from other words with a slash.
func (d document) paths(r repository) map[string][]string {
	found := map[string][]string{}
	for _, span := range d.spans() {
		for word := range strings.FieldsSeq(span) {
			word = strings.TrimPrefix(word, "./")
			word = strings.TrimSuffix(strings.TrimSuffix(word, "/..."), "/")
			if pathPattern.MatchString(word) && !placeholder.MatchString(word) {
				if places := d.places(word, r); len(places) > 0 {
					found[word] = places
				}
			}
		}
	}
	return found
}

func (d document) places(word string, r repository) []string {
	first, rest, _ := strings.Cut(word, "/")
	isService := strings.HasPrefix(d.name, "services/")
	switch {
	case rest == "" && path.Ext(word) == ".go" && isService: // in whichever of its packages
		return []string{path.Join(path.Dir(d.name), word), path.Join(path.Dir(d.name), "internal/*", word)}
	case rest == "" && (path.Ext(word) == ".go" || path.Ext(word) == ".md"):
		return []string{path.Join(path.Dir(d.name), word), word}
	case rest == "":
		return nil
	case r.top[first]:
		return []string{word}
	case r.exists("services/" + first):
		return []string{"services/" + word}
	case first == "internal" && isService:
		return []string{path.Join(path.Dir(d.name), word)}
	}
	return nil
}

func submatches(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

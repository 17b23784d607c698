// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every example of the pages runs as it stands, in a shell beside a demo that a user would
// start, and answers what the page says. Only the ports are not those of the page.
func TestExamplesOfTheAPIRunAsTheyStand(t *testing.T) {
	t.Parallel()
	var steps []example
	for _, page := range []string{"api.md", "bulk.md"} { // the second goes on from the first
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		found := examples(string(text))
		if len(found) == 0 {
			t.Errorf("%s has no examples", page)
		}
		steps = append(steps, found...)
	}
	if len(steps) < 12 {
		t.Fatalf("only %d examples found", len(steps))
	}
	r := startRun(t, `admin: {listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}`,
		"--demo-mail", "127.0.0.1:0", "--demo-webhook", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sh := startShell(ctx, t, filepath.Dir(r.dir), "MAILPUSH="+r.api.url, "WEBHOOK="+r.receiver)
	for _, s := range steps {
		if got, ok := sh.until(ctx, s); !ok {
			t.Errorf("$ %s\nanswers\n%s\nand not\n%s", s.command, got, s.output)
			break // what comes after builds on it
		}
	}
	sh.end(t)
	r.end(t)
}

// example is a command and what it prints.
type example struct{ command, output string }

// examples are those of a page: what stands in its blocks of code. A block without a prompt
// is one command; one of another language is none.
func examples(page string) []example {
	var found []example
	parts := strings.Split(page, "```")
	for i, block := range parts {
		switch block = strings.TrimPrefix(block, "\n"); {
		case i%2 == 0, block != "" && !strings.HasPrefix(parts[i], "\n"):
		case strings.Contains("\n"+block, "\n$ "):
			for part := range strings.SplitSeq("\n"+block, "\n$ ") {
				if command, output := split(part); command != "" {
					found = append(found, example{command, output})
				}
			}
		default:
			found = append(found, example{block, ""})
		}
	}
	return found
}

// split takes the lines of a command off: it goes on where a quote is open, and after a
// backslash or a pipe.
func split(text string) (command, output string) {
	for {
		line, rest, more := strings.Cut(text, "\n")
		command += line
		open := strings.Count(command, "'")%2 == 1 || strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")
		if !open || !more {
			return command, rest
		}
		command, text = command+"\n", rest
	}
}

// shell is a bash that runs one command after the other.
type shell struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

const prompt = "-- the command has ended --"

func startShell(ctx context.Context, t *testing.T, dir string, environ ...string) *shell {
	t.Helper()
	s := &shell{process: exec.CommandContext(ctx, "bash")}
	s.process.Dir, s.process.Env = dir, append(os.Environ(), environ...)
	s.process.Stderr = os.Stderr
	in, err1 := s.process.StdinPipe()
	out, err2 := s.process.StdoutPipe()
	if err1 != nil || err2 != nil || s.process.Start() != nil {
		t.Fatal("bash does not start: ", err1, err2)
	}
	s.in, s.out = in, bufio.NewScanner(out)
	s.out.Buffer(nil, maxAnswerBytes)
	return s
}

func (s *shell) end(t *testing.T) {
	t.Helper()
	_ = s.in.Close()
	if err := s.process.Wait(); err != nil {
		t.Errorf("bash: %v", err)
	}
}

// run runs a command and returns what it has printed, and whether it has succeeded.
func (s *shell) run(command string) (string, bool) {
	fmt.Fprintf(s.in, "%s\nstatus=$?; echo; echo '%s' $status\n", command, prompt)
	var lines []string
	for s.out.Scan() {
		if status, ended := strings.CutPrefix(s.out.Text(), prompt); ended {
			return strings.Join(lines, "\n"), status == " 0"
		}
		lines = append(lines, s.out.Text())
	}
	return strings.Join(lines, "\n"), false
}

// until runs an example until it answers what the page says. What is only shown may take a
// moment to come to pass; what does something is done once.
func (s *shell) until(ctx context.Context, e example) (got string, ok bool) {
	shows := slices.ContainsFunc([]string{"/List", "/Explain"}, func(name string) bool { return strings.Contains(e.command, name) })
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if got, ok = s.run(e.command); ok && alike(e.output, got) {
			return got, true
		}
		select {
		case <-ctx.Done():
			return got, false
		case <-tick.C:
			if !shows {
				return got, false
			}
		}
	}
}

// alike tells whether an output is what a page says, but for white space, for what is
// another each time, and for what the page leaves out.
func alike(page, output string) bool {
	changing := regexp.MustCompile(`sub_[a-z2-7]{26}|req_[a-z2-7]{26}|\d{4}-\d\d-\d\dT[0-9:.]+Z|"uidValidity":\d+|"\d+(\.\d+)?s"`)
	space := regexp.MustCompile(`\s+`)
	plain := func(text string) string { return changing.ReplaceAllString(space.ReplaceAllString(text, ""), "#") }
	pattern := strings.ReplaceAll(regexp.QuoteMeta(plain(page)), `\.\.\.`, ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(plain(output))
}

func TestExamplesAreFoundAndCompared(t *testing.T) {
	t.Parallel()
	got := examples("a\n```json\n{\"a\": 1}\n```\n```\nsetup=1\n```\n$ not here\n```\n$ call x '{\n  \"a\": 1}' -w y\n{\"b\":\n 2}\n\n$ id=$(a |\n  b)\n$ curl \\\n  c\n```\n")
	want := []example{{"setup=1\n", ""}, {"call x '{\n  \"a\": 1}' -w y", "{\"b\":\n 2}\n"}, {"id=$(a |\n  b)", ""}, {"curl \\\n  c", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("found %q", got)
	}
	for _, c := range []struct {
		page, output string
		want         bool
	}{
		{`{"a":1, "id":"sub_s4ngptelxxcejpm2jiuehsnm5a"}`, "{\"a\":1,\n\"id\":\"sub_gb5k2t3dowwgcjctubuemp3ftm\"}", true},
		{`{"a":"whsec_..."}`, `{"a":"whsec_abc"}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"a":1} `, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{"", "x", false},
	} {
		if alike(c.page, c.output) != c.want {
			t.Errorf("%q and %q: want %v", c.page, c.output, c.want)
		}
	}
}

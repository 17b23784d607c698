// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mailpush.internal/pkg/identity"
)

// The programs beside those of the services.
const (
	mailpushProgram  = "mailpush"
	pushUsersProgram = "pushusers"
)

// Programs are the programs of mailpush, built from the workspace at hand.
type Programs struct{ dir string }

// Build builds the programs below dir as they are shipped. The services get the race
// detector when the program that asks has it: a trial looks for races in what it breaks.
func Build(ctx context.Context, dir string) (Programs, error) {
	p := Programs{filepath.Join(dir, "bin")}
	tools := []string{mailpushProgram, pushUsersProgram}
	if !raceDetector {
		return p, p.build(ctx, append(tools, identity.Services()...), "CGO_ENABLED=0")
	}
	return p, errors.Join(
		p.build(ctx, tools, "CGO_ENABLED=0"),
		p.build(ctx, identity.Services(), "CGO_ENABLED=1", "-race"))
}

// BuildShipped builds the programs below dir as they are shipped, whoever asks.
func BuildShipped(ctx context.Context, dir string) (Programs, error) {
	p := Programs{filepath.Join(dir, "bin")}
	return p, p.build(ctx, append(identity.Services(), mailpushProgram, pushUsersProgram), "CGO_ENABLED=0")
}

// BuildRevision builds the programs of another revision of the repository below dir, as
// they are shipped.
func BuildRevision(ctx context.Context, dir, revision string) (Programs, error) {
	p, source := Programs{filepath.Join(dir, "bin")}, filepath.Join(dir, "source")
	root, err := Root(ctx)
	if err != nil {
		return p, err
	}
	if err := os.MkdirAll(source, 0o700); err != nil {
		return p, err
	}
	archive := filepath.Join(dir, "source.tar")
	for _, command := range [][]string{
		{"git", "-C", root, "archive", "--output", archive, revision},
		{"tar", "-x", "-f", archive, "-C", source},
	} {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() //nolint:gosec // of this package's making
		if err != nil {
			return p, fmt.Errorf("taking out revision %q: %w\n%s", revision, err, out)
		}
	}
	return p, p.buildIn(ctx, source, append(identity.Services(), mailpushProgram, pushUsersProgram), "CGO_ENABLED=0")
}

func (p Programs) build(ctx context.Context, programs []string, environment string, flags ...string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	return p.buildIn(ctx, root, programs, environment, flags...)
}

func (p Programs) buildIn(ctx context.Context, root string, programs []string, environment string, flags ...string) error {
	args := append([]string{"build", "-o", p.dir + string(filepath.Separator)}, flags...)
	for _, program := range programs {
		args = append(args, "./cmd/"+program)
	}
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // of this package's making
	command.Dir, command.Env = root, append(os.Environ(), environment, "GOWORK="+filepath.Join(root, "go.work"))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", strings.Join(programs, ", "), err, out)
	}
	return nil
}

// Root is the top of the repository that this process runs in.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("finding the workspace: %w", err)
	}
	work := strings.TrimSpace(string(out))
	if filepath.Base(work) != "go.work" {
		return "", errors.New("finding the workspace: this must run inside the repository, with its go.work")
	}
	return filepath.Dir(work), nil
}

// Path is where a program lies.
func (p Programs) Path(program string) string { return filepath.Join(p.dir, program) }

// HashPassword asks mailpush for what a configuration says of an administrator.
func (p Programs) HashPassword(ctx context.Context, password string) (string, error) {
	return p.ask(ctx, password, "hash-password")
}

// NewToken asks mailpush for an application's token and what a configuration says of it.
func (p Programs) NewToken(ctx context.Context) (token, hash string, err error) {
	said, err := p.ask(ctx, "", "new-token")
	if err != nil {
		return "", "", err
	}
	words := strings.Fields(said) // each behind its name
	if len(words) != 4 {
		return "", "", fmt.Errorf("reading mailpush new-token: %d words, want 4", len(words))
	}
	return words[1], words[3], nil
}

// ask runs a command of mailpush and returns what it says.
func (p Programs) ask(ctx context.Context, stdin, name string) (string, error) {
	command := exec.CommandContext(ctx, p.Path(mailpushProgram), name) //nolint:gosec // it has just been built
	var complaint bytes.Buffer
	command.Stdin, command.Stderr = strings.NewReader(stdin), &complaint
	said, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("running mailpush %s: %w: %s", name, err, complaint.String())
	}
	return strings.TrimSpace(string(said)), nil
}

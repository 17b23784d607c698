// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"mailpush.internal/cmd/internal/layout"
)

// deadCode names what is in the workspace and of no use. In a package that is shipped
// this is what no program reaches: what only a test calls belongs into the test, or into
// a test kit. In a kit or a trial it is what neither a program nor a test reaches.
func deadCode(ctx context.Context, table layout.Table) ([]string, error) {
	byPrograms, err := unreachable(ctx)
	if err != nil {
		return nil, err
	}
	byTests, err := unreachable(ctx, "-test")
	if err != nil {
		return nil, err
	}
	return count(table, byPrograms, byTests), nil
}

// found is what deadcode says of a package.
type found struct {
	Path  string `json:"Path"`
	Funcs []struct {
		Name     string `json:"Name"`
		Position struct {
			File string `json:"File"`
			Line int    `json:"Line"`
		} `json:"Position"`
	} `json:"Funcs"`
}

// unreachable runs deadcode over the workspace.
func unreachable(ctx context.Context, flags ...string) ([]found, error) {
	//nolint:gosec // the arguments are those of deadCode
	cmd := exec.CommandContext(ctx, filepath.Join("scripts", "deadcode"), append(flags, "-json")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running scripts/deadcode: %w", err)
	}
	var packages []found
	if err := json.Unmarshal(out, &packages); err != nil {
		return nil, fmt.Errorf("reading what deadcode says: %w", err)
	}
	return packages, nil
}

// count lists which of the functions that no program reaches, and of those that no test
// reaches either, are dead.
func count(table layout.Table, byPrograms, byTests []found) []string {
	dead := map[string]bool{}
	add := func(p found) {
		for _, f := range p.Funcs {
			dead[fmt.Sprintf("%s:%d: %s", f.Position.File, f.Position.Line, f.Name)] = true
		}
	}
	for _, p := range byPrograms {
		if !table.ForTests(p.Path) {
			add(p)
		}
	}
	for _, p := range byTests {
		add(p)
	}
	return slices.Sorted(maps.Keys(dead))
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mailpush.internal/cmd/internal/layout"
)

// size is how many lines of Go a package has.
type size struct{ source, tests int }

func (s *size) add(other size) {
	s.source += other.source
	s.tests += other.tests
}

// printHalls prints the halls of each service, and the packages in them, with their lines.
func printHalls(out io.Writer, root string, table layout.Table) error {
	for _, service := range table.Services {
		if err := printService(out, root, service); err != nil {
			return fmt.Errorf("measuring %s: %w", service.Name, err)
		}
	}
	return nil
}

func printService(out io.Writer, root string, service layout.Service) error {
	top := filepath.Join("services", service.Name)
	readme, err := lines(filepath.Join(root, top, "README.md"))
	if err != nil {
		return err
	}
	all, err := measure(filepath.Join(root, top))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-30s  source   tests\n", service.Name)
	row(out, "  face", all)
	for _, hall := range service.Halls {
		var inHall size
		sizes := make([]size, len(hall.Rooms))
		for i, room := range hall.Rooms {
			if sizes[i], err = measure(filepath.Join(root, room.Path)); err != nil {
				return err
			}
			inHall.add(sizes[i])
		}
		row(out, "  "+hall.Name, inHall)
		for i, room := range hall.Rooms {
			row(out, "    "+strings.TrimPrefix(room.Path, top+"/internal/"), sizes[i])
		}
		all.add(inHall)
	}
	row(out, fmt.Sprintf("  %d halls and the face", len(service.Halls)), all)
	fmt.Fprintf(out, "  README.md%27d\n\n", readme)
	return nil
}

func row(out io.Writer, name string, s size) {
	fmt.Fprintf(out, "%-30s %7d %7d\n", name, s.source, s.tests)
}

// printResults prints the figures that the style sets limits to.
func printResults(out io.Writer, root string, table layout.Table, dead int) error {
	readme, err := lines(filepath.Join(root, "README.md"))
	if err != nil {
		return err
	}
	halls := 0
	for _, service := range table.Services {
		halls = max(halls, len(service.Halls))
	}
	_, err = fmt.Fprintf(out, "result: readme_lines=%d\nresult: halls=%d\nresult: deadcode=%d\n", readme, halls, dead)
	return err
}

// measure counts the lines of the Go files of one directory.
func measure(directory string) (size, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		return size{}, err
	}
	if len(files) == 0 {
		return size{}, fmt.Errorf("%s is no package", directory)
	}
	var s size
	for _, file := range files {
		n, err := lines(file)
		switch {
		case err != nil:
			return size{}, err
		case strings.HasSuffix(file, "_test.go"):
			s.tests += n
		default:
			s.source += n
		}
	}
	return s, nil
}

func lines(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return bytes.Count(text, []byte("\n")), nil
}

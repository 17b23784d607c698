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
	"text/tabwriter"

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
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, service := range table.Services {
		if err := printService(w, root, service); err != nil {
			return fmt.Errorf("measuring %s: %w", service.Name, err)
		}
	}
	return w.Flush()
}

func printService(w io.Writer, root string, service layout.Service) error {
	top := filepath.Join("services", service.Name)
	readme, err := lines(filepath.Join(root, top, "README.md"))
	if err != nil {
		return err
	}
	all, err := measure(filepath.Join(root, top))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\tsource\ttests\t\n", service.Name)
	row(w, "its face", all)
	for _, hall := range service.Halls {
		var inHall size
		sizes := make([]size, len(hall.Rooms))
		for i, room := range hall.Rooms {
			if sizes[i], err = measure(filepath.Join(root, room.Path)); err != nil {
				return err
			}
			inHall.add(sizes[i])
		}
		row(w, hall.Name, inHall)
		for i, room := range hall.Rooms {
			row(w, "  "+strings.TrimPrefix(room.Path, top+"/internal/"), sizes[i])
		}
		all.add(inHall)
	}
	row(w, fmt.Sprintf("in all, %d halls, README of %d lines", len(service.Halls), readme), all)
	_, err = fmt.Fprintln(w, "\t\t\t")
	return err
}

func row(w io.Writer, name string, s size) {
	fmt.Fprintf(w, "  %s\t%d\t%d\t\n", name, s.source, s.tests)
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

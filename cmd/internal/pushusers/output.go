// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/clipperhouse/displaywidth"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// outputFormat is how a list is printed. The zero value is the table of the original.
type outputFormat int

const (
	outputTable outputFormat = iota
	outputWide
	outputJSON
)

func outputFormats() []string { return []string{"table", "wide", "json"} }

// String implements [pflag.Value].
func (f *outputFormat) String() string { return outputFormats()[*f] }

// Set implements [pflag.Value].
func (f *outputFormat) Set(name string) error {
	i := slices.Index(outputFormats(), name)
	if i < 0 {
		return fmt.Errorf("want %s", strings.Join(outputFormats(), ", "))
	}
	*f = outputFormat(i)
	return nil
}

// Type implements [pflag.Value].
func (*outputFormat) Type() string { return "format" }

// column is one column of a table.
type column struct {
	title string
	right bool // aligned to the right
}

// writeTable prints rows under their titles, two spaces between columns and none at
// the end of a line. Widths are cells of a terminal, of which an East Asian character
// fills two.
func writeTable(w io.Writer, columns []column, rows [][]string) {
	lines := make([][]string, 0, len(rows)+1)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	lines = append(lines, titles)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		lines = append(lines, cells)
	}
	widths := make([]int, len(columns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], displaywidth.String(cell))
		}
	}
	for _, line := range lines {
		fmt.Fprintln(w, strings.TrimRight(alignLine(line, columns, widths), " "))
	}
}

func alignLine(line []string, columns []column, widths []int) string {
	padded := make([]string, len(line))
	for i, cell := range line {
		padding := strings.Repeat(" ", widths[i]-displaywidth.String(cell))
		if columns[i].right {
			padded[i] = padding + cell
		} else {
			padded[i] = cell + padding
		}
	}
	return strings.Join(padded, "  ")
}

// printable replaces what speaks to a terminal instead of being read, such as escape
// sequences and what turns the direction of writing: it may come from a mail server or an
// endpoint.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// done tells that a command has done its work: in words, or as JSON what the API has
// answered.
func (a *app) done(answer proto.Message, format string, args ...any) error {
	if a.output == outputJSON {
		return writeJSON(a.stdout, answer)
	}
	fmt.Fprintln(a.stdout, printable(fmt.Sprintf(format, args...)))
	return nil
}

// escaped writes what is not printable as JSON escapes, so that the text may be looked
// at on a terminal and means the same. JSON itself asks for that of the C0 controls only.
func escaped(text []byte) string {
	var out strings.Builder
	for _, r := range string(text) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// writeJSON prints a message with all its fields, indented, the same on every run.
func writeJSON(w io.Writer, message proto.Message) error {
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return failf(exitServer, "encoding the answer: %v", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		return failf(exitServer, "encoding the answer: %v", err)
	}
	fmt.Fprintln(w, escaped(indented.Bytes()))
	return nil
}

// orDash stands for what is not there in a table.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func timeText(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"bytes"
	"io"
	"os"
)

// maxLine bounds the lines that are looked at; of a longer one the rest is not.
const maxLine = 1 << 20

// output is where a process writes to.
type output struct {
	writer io.Writer
	file   *os.File // nil: this process's standard error
}

func (p *Process) openLog() (output, error) {
	out := output{writer: os.Stderr}
	if p.command.Log != "" {
		file, err := os.OpenFile(p.command.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return output{}, err
		}
		out.writer, out.file = file, file
	}
	if p.command.Look != nil {
		out.writer = &lines{copy: out.writer, look: p.command.Look}
	}
	return out, nil
}

func (o output) close() {
	if o.file != nil {
		_ = o.file.Close() // what could be written is
	}
}

// lines passes on what is written, and shows the lines of it.
type lines struct {
	copy io.Writer
	look func(line []byte)
	rest []byte // of a line that is not complete
}

// Write implements [io.Writer].
func (l *lines) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, complete := bytes.Cut(l.rest, []byte("\n"))
		if !complete {
			l.rest = l.rest[:min(len(l.rest), maxLine)]
			break
		}
		l.look(line)
		l.rest = append(l.rest[:0], rest...)
	}
	return l.copy.Write(text)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"errors"
	"io"
	"syscall"
)

// stream is standard output, and remembers the first error of writing to it. Commands
// write without looking; whether all of it has arrived is asked once, at the end.
type stream struct {
	to  io.Writer
	err error
}

// Write implements [io.Writer]. After an error nothing more is written: what came later
// would pass for the whole. Nobody hears of the error here, or several would tell of it.
func (s *stream) Write(text []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.to.Write(text)
	}
	return len(text), nil
}

// failure is how a command ends whose answer could not be written, nil when it could.
// A reader that has gone away, such as head, has seen what it wanted: the code tells a
// script so, and no words are spent on it.
func (s *stream) failure() *failure {
	switch {
	case s.err == nil:
		return nil
	case errors.Is(s.err, syscall.EPIPE):
		return &failure{code: exitServer}
	}
	return failf(exitServer, "writing to standard output: %v", s.err)
}

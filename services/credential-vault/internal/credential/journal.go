// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"time"
)

const (
	// maxGroup bounds what is stored at once: one statement on every engine.
	maxGroup = 500
	// groupTimeout is the patience with a store that does not answer.
	groupTimeout = 10 * time.Second
)

var errStopped = errors.New("the vault has stopped")

// journal stores audit entries in groups, one group at a time: what is written while
// one is being stored makes up the next. So a store that takes ten milliseconds to
// make anything durable does not limit the vault to a hundred openings a second, and
// an entry that comes alone waits for nobody.
//
// The queue is the writers themselves, blocked on an unbuffered channel: whoever gives
// up has left it, and it holds no more than there are calls.
type journal struct {
	audit   Audit
	lines   chan line
	stopped chan struct{}
}

// line is an entry and where its writer waits; stored takes one answer without a reader.
type line struct {
	entry  Entry
	stored chan<- error
}

func newJournal(audit Audit) *journal {
	return &journal{audit: audit, lines: make(chan line), stopped: make(chan struct{})}
}

// write returns when the entry is stored, or an error. An entry whose writer has given
// up may be stored all the same.
func (j *journal) write(ctx context.Context, entry Entry) error {
	stored := make(chan error, 1)
	select {
	case j.lines <- line{entry, stored}:
	case <-j.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// keep stores what is written until ctx ends, which also ends the storing. It is
// called once.
func (j *journal) keep(ctx context.Context) {
	defer close(j.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-j.lines:
			j.store(ctx, j.group(first))
		}
	}
}

// group is a line and those that wait by now.
func (j *journal) group(first line) []line {
	lines := []line{first}
	for len(lines) < maxGroup {
		select {
		case next := <-j.lines:
			lines = append(lines, next)
		default:
			return lines
		}
	}
	return lines
}

// store stores a group, all of it or nothing, and answers each line. The end of one
// line's call does not end it. Nor does one line spoil it for the others: calls are
// validated to fit the table before they come here.
func (j *journal) store(ctx context.Context, lines []line) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	entries := make([]Entry, len(lines))
	for i, line := range lines {
		entries[i] = line.entry
	}
	err := j.audit.Write(ctx, entries)
	for _, line := range lines {
		line.stored <- err
	}
}

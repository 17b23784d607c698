// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// maxLine bounds the lines of a log that are looked at.
const maxLine = 1 << 20

// Process is a child whose log is kept. It can be ended from any goroutine, and more
// than once.
type Process struct {
	*Child

	// Name is what the process is called in reports.
	Name string

	read  sync.WaitGroup // of its log
	ended chan struct{}
}

// StartProcess starts a copy of this program whose log goes to the end of a file, and
// line by line to look, which may be nil.
func StartProcess(name, logFile string, look func(line []byte), args ...string) (*Process, error) {
	child, err := NewChild(context.Background(), args...)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	p := &Process{Child: child, Name: name, ended: make(chan struct{})}
	child.Command.Stdout, child.Command.Stderr = file, file
	var log io.Reader
	if look != nil {
		child.Command.Stderr = nil
		if log, err = child.Command.StderrPipe(); err != nil {
			_ = file.Close() // nothing was written
			return nil, err
		}
	}
	if err := child.Command.Start(); err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if look != nil {
		p.read.Go(func() { follow(log, file, look) })
	}
	go p.await(file)
	return p, nil
}

// follow copies a log to a file and shows its lines.
func follow(log io.Reader, file io.Writer, look func(line []byte)) {
	lines := bufio.NewScanner(io.TeeReader(log, file))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		look(lines.Bytes())
	}
	_, _ = io.Copy(file, log) // after a line that is too long
}

func (p *Process) await(file io.Closer) {
	p.read.Wait()
	_ = p.Command.Wait() // how it ended is for those to ask who want to know
	_ = file.Close()     // what could be written is
	close(p.ended)
}

// Ended is closed when the process has ended, for whatever reason.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process as a crash does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Command.Process.Kill() // it may have ended
	<-p.ended
}

// Stop asks the process to end and waits for it.
func (p *Process) Stop() {
	_ = p.Command.Process.Signal(syscall.SIGTERM) // it may have ended
	<-p.ended
}

// Pause has the process stand still until Resume.
func (p *Process) Pause() error { return p.Command.Process.Signal(syscall.SIGSTOP) }

// Resume lets a process go on that stands still.
func (p *Process) Resume() error { return p.Command.Process.Signal(syscall.SIGCONT) }

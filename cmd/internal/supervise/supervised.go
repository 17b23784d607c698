// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// socketVariable names the file descriptor of a process's socket to its parent.
const socketVariable = "MAILPUSH_SUPERVISOR"

// tellTimeout bounds the telling of a registration, which is a write into a buffer.
const tellTimeout = time.Second

// Supervised tells whether this process has a supervisor.
func Supervised() bool { return os.Getenv(socketVariable) != "" }

// Parent is a process's way to its supervisor. It is safe for concurrent use; the nil
// Parent is that of a process without one.
type Parent struct {
	mu   sync.Mutex // a registration is told whole
	conn *net.UnixConn
}

// FindParent is the supervisor of this process, nil when it has none. The inherited socket
// stays open for a process that follows in this one's place.
func FindParent() (*Parent, error) {
	text := os.Getenv(socketVariable)
	if text == "" {
		return nil, nil //nolint:nilnil // no supervisor is an answer
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", socketVariable, err)
	}
	copied, err := syscall.Dup(fd)
	if err != nil {
		return nil, fmt.Errorf("taking over the supervisor's socket, %s=%d: %w", socketVariable, fd, err)
	}
	syscall.CloseOnExec(copied)
	conn, err := connOf(os.NewFile(uintptr(copied), "the supervisor's socket"))
	if err != nil {
		return nil, err
	}
	return &Parent{conn: conn}, nil
}

// Tell tells of a registration, which is the one in force from now on.
func (p *Parent) Tell(of Registration) error {
	if p == nil {
		return nil
	}
	line, err := of.line()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(tellTimeout)) // it fails when the write does
	if _, err := p.conn.Write(line); err != nil {
		return fmt.Errorf("telling the supervisor: %w", err)
	}
	return nil
}

// Watch returns a context that ends with ctx, and when the parent wants the process to end
// or has died.
func (p *Parent) Watch(ctx context.Context) context.Context {
	if p == nil {
		return ctx
	}
	ctx, end := context.WithCancel(ctx)
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, p.conn) // it says nothing; however this ends, it is over
	}()
	return ctx
}

// Close ends the telling and the watching.
func (p *Parent) Close() error {
	if p == nil {
		return nil
	}
	if err := p.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

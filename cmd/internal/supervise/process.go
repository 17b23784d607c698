// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// parentSocket is the file descriptor of a process's socket to its parent.
	parentSocket = 3
	// FirstSocket is the file descriptor that the first of Config.Sockets has in a process.
	FirstSocket = parentSocket + 1
	// lastWords is how long what a dead process has told may take to be read. It is
	// there already; only where a process of its own has inherited the socket nothing
	// says that this was all.
	lastWords = time.Second
)

// process is one run of the program.
type process struct {
	log     *slog.Logger
	command *exec.Cmd
	started time.Time
	socket  *net.UnixConn

	ended chan struct{} // closed when the system has said that it is dead
	said  chan struct{} // closed when it has told all it will

	mu    sync.Mutex
	last  Registration // the newest; only one at a time is in force
	known bool
}

func (s *Supervisor) start() (*process, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer closeAll(theirs)                             // the process has a copy
	command := exec.Command(s.cfg.Path, s.cfg.Args...) //nolint:noctx,gosec // it is stopped in order, by no context; it is this program
	command.Stdout, command.Stderr = s.cfg.Stdout, s.cfg.Stderr
	command.ExtraFiles = append([]*os.File{theirs}, s.cfg.Sockets...)
	command.Env = append(slices.Clone(s.cfg.Env), socketVariable+"="+strconv.Itoa(parentSocket))
	p := &process{
		log: s.cfg.Log, command: command, socket: ours, started: time.Now(),
		ended: make(chan struct{}), said: make(chan struct{}),
	}
	if err := command.Start(); err != nil {
		closeAll(ours)
		return nil, err
	}
	go p.wait()
	go p.listen()
	return p, nil
}

// socketPair makes the socket that parent and process share. Neither end is inherited
// unless it is handed on: a process that held the parent's end would never see it closed.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "the process's end")
	if ours, err = connOf(os.NewFile(uintptr(fds[0]), "the parent's end")); err != nil {
		closeAll(theirs)
		return nil, nil, err
	}
	return ours, theirs, nil
}

// connOf makes a connection of a socket, and takes the file over.
func connOf(file *os.File) (*net.UnixConn, error) {
	defer closeAll(file) // the connection has a copy
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("taking over %s: %w", file.Name(), err)
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		closeAll(conn)
		return nil, fmt.Errorf("taking over %s: it is no unix socket", file.Name())
	}
	return unix, nil
}

// wait waits until the process is dead. [exec.Cmd.Wait] is wait4 of this process, or
// waitid of its descriptor, for exits alone: a process that is stopped or traced is not
// reported. When it returns all threads have ended, and nothing renews the lease.
func (p *process) wait() {
	_ = p.command.Wait() // how it ended is in its state
	close(p.ended)
}

// listen takes in the registrations that the process tells.
func (p *process) listen() {
	defer close(p.said)
	lines := bufio.NewScanner(p.socket)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	for lines.Scan() {
		of, err := parseRegistration(lines.Bytes())
		p.learn(of, err == nil)
		if err != nil {
			p.log.Error("the worker's registration was not understood; its lease will end by itself", "error", err)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.learn(Registration{}, false)
		p.log.Error("the worker's registrations cannot be read; its lease will end by itself", "error", err)
	}
}

// learn takes in the newest registration, or that it is not known: a former one has ended.
func (p *process) learn(of Registration, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.known = of, known
}

// registration is the last one of a process that is dead, if it had one.
func (p *process) registration() (Registration, bool) {
	late := time.NewTimer(lastWords)
	defer late.Stop()
	select {
	case <-p.said:
	case <-late.C:
	}
	defer closeAll(p.socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.known
}

// end is how a process that is dead has ended.
func (p *process) end(asked bool) end {
	state := p.command.ProcessState
	code := state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = killed + int(status.Signal())
	}
	return end{asked: asked, code: code, how: state.String(), lived: time.Since(p.started)}
}

func (p *process) pid() int { return p.command.Process.Pid }

// stop has the process end in order. What it still has to tell is read.
func (p *process) stop() {
	if err := p.socket.CloseWrite(); err != nil { // it never is, but a worker must not stay
		p.signal(syscall.SIGTERM)
	}
}

func (p *process) signal(signal os.Signal) {
	if err := p.command.Process.Signal(signal); err != nil {
		p.log.Warn("a signal was not passed on", "signal", signal.String(), "error", err) // it has just ended
	}
}

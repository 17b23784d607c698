// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func (s *Server) start(binary string) error {
	s.exited = make(chan struct{})
	s.process = exec.Command(binary, "-F", "-c", s.path("etc/dovecot.conf"))
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := s.process.Start(); err != nil {
		return err
	}
	go func() {
		defer close(s.exited)
		_ = s.process.Wait() // how it ended is in its log
	}()
	if err := s.awaitGreeting(); err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// awaitGreeting waits until IMAP is served.
func (s *Server) awaitGreeting() error {
	giveUp := time.After(startTimeout)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if s.greets() {
			return nil
		}
		select {
		case <-again.C:
		case <-s.exited:
			return fmt.Errorf("it ended at once:\n%s", s.Log())
		case <-giveUp:
			return fmt.Errorf("no greeting within %s:\n%s", startTimeout, s.Log())
		}
	}
}

// greets tells whether this very server answers: its greeting names its directory.
func (s *Server) greets() bool {
	conn, err := net.DialTimeout("tcp", s.imap, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // only looking
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.Contains(line, s.dir)
}

// Stop ends Dovecot and all sessions. Dovecot's own children survive their
// master while they serve a session, so they are found before and ended after.
func (s *Server) Stop() error {
	children := descendants(s.process.Process.Pid)
	_ = s.process.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		_ = s.process.Process.Kill() // as above
		<-s.exited
	}
	var left []string
	for _, child := range children {
		if !child.end() {
			left = append(left, child.name)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("processes that would not end: %s", strings.Join(left, ", "))
	}
	return nil
}

// Drop ends all IMAP sessions without a word, as a crash does; Dovecot goes on.
func (s *Server) Drop() {
	for _, child := range descendants(s.process.Process.Pid) {
		if child.name == "imap" {
			child.end()
		}
	}
}

// process is one process, told from a later one with the same id by its start.
type process struct {
	pid, parent int
	name, start string
}

// end kills the process and waits until it is gone.
func (p process) end() bool {
	giveUp := time.After(stopTimeout)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		now, alive := inspect(p.pid)
		if !alive || now.start != p.start {
			return true
		}
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may be gone
		select {
		case <-again.C:
		case <-giveUp:
			return false
		}
	}
}

// descendants finds the children of a process, and theirs.
func descendants(pid int) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := make(map[int][]process)
	for _, entry := range entries {
		if id, err := strconv.Atoi(entry.Name()); err == nil {
			if p, alive := inspect(id); alive {
				children[p.parent] = append(children[p.parent], p)
			}
		}
	}
	found := children[pid]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found
}

// inspect reads proc_pid_stat(5); a zombie counts as gone.
func inspect(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := strings.Fields(string(text[end+1:]))
	const state, parent, start = 0, 1, 19
	if len(fields) <= start || fields[state] == "Z" {
		return process{}, false
	}
	p := process{pid: pid, name: string(text[open+1 : end]), start: fields[start]}
	p.parent, err = strconv.Atoi(fields[parent])
	return p, err == nil
}

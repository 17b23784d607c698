// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// reapTimeout is how long the rest of a group may take to go once it is killed.
const reapTimeout = 10 * time.Second

// endGroup kills what is left of a process group, and waits until it is gone.
func endGroup(group int) error {
	giveUp := time.NewTimer(reapTimeout)
	defer giveUp.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		if err := syscall.Kill(-group, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		// Those that are dead, and that nobody has asked about yet, belong to it, too.
		left := members(group)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-giveUp.C:
			return fmt.Errorf("%d processes do not end, one of them %s", len(left), left[0].name)
		}
	}
}

// member is a process of a group.
type member struct {
	pid  int
	name string
}

// EndMembers sends the processes of the group that have the given name a signal that ends
// them, again and again, until they are gone. The others go on.
func (p *Process) EndMembers(name string, signal syscall.Signal) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for victims := p.others(name); len(victims) > 0; <-again.C {
		for _, pid := range victims {
			_ = syscall.Kill(pid, signal) // it may have ended
		}
		victims = slices.DeleteFunc(victims, func(pid int) bool {
			now, group, alive := inspect(pid)
			return !alive || now != name || group != p.Pid()
		})
	}
}

// others are the processes of the group that have a name, but for its leader.
func (p *Process) others(name string) []int {
	var found []int
	for _, m := range members(p.Pid()) {
		if m.name == name && m.pid != p.Pid() {
			found = append(found, m.pid)
		}
	}
	return found
}

// members finds the processes of a group that live.
func members(group int) []member {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []member
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if name, of, alive := inspect(pid); alive && of == group {
			found = append(found, member{pid, name})
		}
	}
	return found
}

// GroupCPU is the processor time that the processes of the group have used, with those
// that have ended and that others of them have waited for. It comes in steps of 10 ms a
// process.
func (p *Process) GroupCPU() time.Duration {
	const first, times, tick = 11, 4, 10 * time.Millisecond // utime, stime, and both of children
	ticks := 0
	for _, m := range members(p.Pid()) {
		_, fields, known := stat(m.pid)
		if !known || len(fields) < first+times {
			continue // it has ended meanwhile
		}
		for _, field := range fields[first : first+times] {
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}
	return time.Duration(ticks) * tick
}

// inspect tells a process's name and group; a zombie counts as gone.
func inspect(pid int) (name string, group int, alive bool) {
	name, fields, known := stat(pid)
	const state, ofGroup = 0, 2
	if !known || len(fields) <= ofGroup || fields[state] == "Z" {
		return "", 0, false
	}
	group, err := strconv.Atoi(fields[ofGroup])
	return name, group, err == nil
}

// stat reads proc_pid_stat(5): the name, and the fields behind it.
func stat(pid int) (name string, fields []string, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", nil, false
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || end < open {
		return "", nil, false
	}
	return string(text[open+1 : end]), strings.Fields(string(text[end+1:])), true
}

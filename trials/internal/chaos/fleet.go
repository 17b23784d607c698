// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

// workers is how many there are.
const workers = 3

// fleet is the processes of mailpush. It is safe for concurrent use.
type fleet struct {
	members []*member
	now     rig.Programs
	before  *rig.Programs // nil: none
	watches sync.WaitGroup

	broken func(error) // is told of a process that ended by itself

	mu     sync.Mutex
	closed bool
	old    int // starts of a program of the earlier release
}

// member is one process, and whoever comes after it.
type member struct {
	command proctest.Command
	program string
	starts  int  // so far, with an offset for every other one
	spared  bool // not to be killed

	process *proctest.Process // nil while it is away
}

// launch starts mailpush, every other process of the earlier release if there is one.
func launch(d *deployment, before *rig.Programs, broken func(error)) (*fleet, error) {
	f := &fleet{now: d.programs, before: before, broken: broken}
	add := func(name, program string, spared bool, args ...string) {
		f.members = append(f.members, &member{spared: spared, program: program, starts: len(f.members), command: proctest.Command{
			Args: append([]string{"--config", d.config}, args...),
			Name: name, Log: filepath.Join(d.dir, name+".log"), Env: d.environment,
		}})
	}
	add(identity.Vault, identity.Vault, false)
	add(identity.Admin, identity.Admin, false)
	add(identity.Scheduler, identity.Scheduler, true)
	for n := range workers {
		var args []string
		if len(d.notified) > 0 {
			args = []string{"--set", "worker.notify.listen=" + d.notified[n]}
		}
		add(fmt.Sprintf("worker-%d", n+1), identity.Worker, false, args...)
	}
	for _, m := range f.members {
		if err := f.start(m); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *fleet) start(m *member) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	m.command.Path = f.pathOf(m)
	process, err := proctest.Start(m.command)
	if err != nil {
		return err
	}
	m.process = process
	f.watches.Go(func() { f.watch(m, process) })
	return nil
}

// pathOf is the program that a member is started with next.
func (f *fleet) pathOf(m *member) string {
	m.starts++
	if f.before != nil && m.starts%2 == 0 {
		f.old++
		return f.before.Path(m.program)
	}
	return f.now.Path(m.program)
}

// earlier is how often a program of the earlier release was started.
func (f *fleet) earlier() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.old
}

// watch sees to it that no process ends unless it is killed.
func (f *fleet) watch(m *member, process *proctest.Process) {
	<-process.Ended()
	f.mu.Lock()
	unexpected := m.process == process
	if unexpected {
		m.process = nil
	}
	f.mu.Unlock()
	if unexpected {
		f.broken(fmt.Errorf("%s has ended by itself, see its log: %w", process.Name(), process.Err()))
	}
}

// kill kills one of the processes that run, as kill -9 does. It returns nil when none
// runs that may be killed.
func (f *fleet) kill(random *rand.Rand) *member {
	f.mu.Lock()
	var victims []*member
	for _, m := range f.members {
		if m.process != nil && !m.spared {
			victims = append(victims, m)
		}
	}
	if len(victims) == 0 {
		f.mu.Unlock()
		return nil
	}
	victim := victims[random.IntN(len(victims))]
	process := victim.process
	victim.process = nil
	f.mu.Unlock()
	process.Kill()
	return victim
}

// close kills all processes, for good.
func (f *fleet) close() {
	f.mu.Lock()
	f.closed = true
	var processes []*proctest.Process
	for _, m := range f.members {
		if m.process != nil {
			processes = append(processes, m.process)
			m.process = nil
		}
	}
	f.mu.Unlock()
	for _, process := range processes {
		process.Kill()
	}
	f.watches.Wait()
}

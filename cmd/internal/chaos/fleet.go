// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"

	"mailpush.internal/cmd/internal/rig"
)

// workers is how many there are.
const workers = 3

// fleet is the processes of mailpush. It is safe for concurrent use.
type fleet struct {
	dir     string
	members []*member
	watches sync.WaitGroup

	broken func(error) // is told of a process that ended by itself

	mu     sync.Mutex
	closed bool
}

// member is one process, and whoever comes after it.
type member struct {
	name   string
	args   []string
	spared bool // not to be killed

	process *rig.Process // nil while it is away
}

// launch starts mailpush. hasty has workers that say a push was accepted before they
// have made it.
func launch(d *deployment, hasty bool, broken func(error)) (*fleet, error) {
	f := &fleet{dir: d.dir, broken: broken}
	add := func(name, role string, spared bool) {
		f.members = append(f.members, &member{name: name, args: []string{role, "--config", d.config}, spared: spared})
	}
	add("credential-vault", vaultRole, false)
	add("admin-api", adminRole, false)
	add("scheduler", schedulerRole, true)
	role := workerRole
	if hasty {
		role = hastyRole
	}
	for n := range workers {
		add(fmt.Sprintf("worker-%d", n+1), role, false)
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
	process, err := rig.StartProcess(m.name, filepath.Join(f.dir, m.name+".log"), nil, m.args...)
	if err != nil {
		return err
	}
	m.process = process
	f.watches.Go(func() { f.watch(m, process) })
	return nil
}

// watch sees to it that no process ends unless it is killed.
func (f *fleet) watch(m *member, process *rig.Process) {
	<-process.Ended()
	f.mu.Lock()
	unexpected := m.process == process
	if unexpected {
		m.process = nil
	}
	f.mu.Unlock()
	if unexpected {
		f.broken(fmt.Errorf("%s has ended by itself: %v, see its log", m.name, process.Command.ProcessState))
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
	var processes []*rig.Process
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

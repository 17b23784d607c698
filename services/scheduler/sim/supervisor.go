// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"time"
)

const (
	// revokeWithin is how long a supervisor tries to revoke a lease.
	revokeWithin = 5 * time.Second
	// diesWithParent is the share of deaths that take the supervisor along, as the loss
	// of a machine does.
	diesWithParent = 0.2
)

// supervisor is the parent of a worker's process, on the same machine. It knows the lease
// that the process has told last, and revokes it when the process is dead: the system says
// so, whatever the network does.
type supervisor struct {
	*node

	world   *world
	lease   int  // 0 before the process has told any
	revoked bool // before its time
}

// supervise gives a worker a parent, or does not.
func (w *world) supervise(n *worker) {
	if w.chance(w.supervised) {
		n.parent = &supervisor{node: w.newNode("parent of " + n.name), world: w}
	}
}

// registered takes in the lease of a new registration.
func (s *supervisor) registered(lease int) {
	if s != nil {
		s.lease = lease
	}
}

// die ends a worker's process at once, and has another one come in its place.
func (n *worker) die(replaced time.Duration) {
	n.note(n.name + " dies")
	n.dead = true
	if n.parent != nil && !n.chance(diesWithParent) {
		n.parent.childEnded(n)
		replaced = n.now + n.between(0, time.Second)
	}
	n.at(min(replaced, faultsFor), n.world.addWorker)
}

// pause has a worker stand still, which is no death.
func (n *worker) pause(until time.Duration) {
	n.paused = until
	n.note(fmt.Sprintf("%s is paused until %v", n.name, until))
	if n.world.mutation == revokeStopped && n.parent != nil {
		n.parent.childEnded(n)
	}
}

// pause has a supervisor stand still, if there is one.
func (s *supervisor) pause(until time.Duration) {
	if s != nil {
		s.paused = until
		s.note(fmt.Sprintf("%s is paused until %v", s.name, until))
	}
}

// childEnded takes in the system's word that the process is dead.
func (s *supervisor) childEnded(n *worker) {
	s.cutTo, s.cutFrom = n.cutTo, n.cutFrom // they share a network
	s.after(s.between(0, 50*time.Millisecond), func() {
		if s.lease != 0 {
			s.revoke(s.clock() + revokeWithin)
		}
	})
}

// revoke tries until a time on its clock; then the lease ends by itself.
func (s *supervisor) revoke(until time.Duration) {
	call(s.world, s.node, &s.world.etcd.server, func() bool {
		if s.world.etcd.leases[s.lease] != nil {
			s.world.revoked++
			s.revoked = true
			s.note("lease " + strconv.Itoa(s.lease) + " of a dead worker is revoked")
		}
		s.world.etcd.revoke(s.lease)
		return true
	}, func(bool) {}, func() {
		if s.clock() < until {
			s.revoke(until)
		}
	})
}

// parentDies ends a worker's supervisor: the process notices, and ends in order.
func (w *world) parentDies(n *worker) {
	if n.parent == nil || n.dead || n.leaving {
		return
	}
	w.note(n.parent.name + " dies")
	n.parent.dead, n.parent = true, nil
	w.restart([]*worker{n})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package capacity says how many listeners a worker on this machine can carry, and why
// no more: each is an open file and some memory. Invariant: the answer is a function of
// what the machine has, [Of]; what is unknown bounds nothing.
package capacity

import (
	"fmt"
	"strings"
)

const (
	// userBytes is what an idle listener takes of the worker's own memory, kernelBytes
	// what its connection takes of the kernel's; docs/figures.md has the measurements.
	userBytes   = 8 << 10
	kernelBytes = 6 << 10
	// baseBytes is what a worker takes that has no listener yet.
	baseBytes = 64 << 20
	// A quarter of the memory is left to what happens when all listeners log in at once.
	usableParts, memoryParts = 3, 4

	// reserve is how many files are kept for everything that is no listener: requests to
	// endpoints, of which 1,024 may be out, with connections that are kept for the next
	// one, and the other services. Of a low limit it is half.
	reserve = 2000

	// fallback is the capacity where nothing is known of the machine.
	fallback = 10_000
	// least is what any worker has memory for: what is known of memory is an estimate.
	least = 100
	// most is beyond what one process has been tried with.
	most = 10_000_000
)

// Machine is what there is for a worker. Zero values are unknown.
type Machine struct {
	// Files is how many files the process may have open.
	Files uint64
	// Memory is how many bytes the process and what the kernel holds for it may take, and
	// MemoryIs what kind of limit that is.
	Memory   uint64
	MemoryIs string
	// Heap is how many bytes the process itself may take, by GOMEMLIMIT.
	Heap uint64
}

// Answer is how many listeners a worker can carry.
type Answer struct {
	// Listeners is the number, at least 1.
	Listeners uint32
	// Why says which bound decided, and what the others would allow.
	Why string
	// Warning is about a number that was asked for and is more than the machine allows;
	// empty when all is well.
	Warning string
}

// bound is how many listeners one thing allows.
type bound struct {
	listeners uint64
	of        string
}

// Of is how many listeners a machine allows. The number is rounded down to two digits:
// workers on machines that are nearly alike get the same share of the listeners.
func Of(m Machine) Answer {
	bounds := m.bounds()
	if len(bounds) == 0 {
		return Answer{Listeners: fallback, Why: "nothing is known of the machine's limits"}
	}
	lowest := bounds[0]
	for _, b := range bounds[1:] {
		if b.listeners < lowest.listeners {
			lowest = b
		}
	}
	why := []string{"as many as " + lowest.of + " allows"}
	for _, b := range bounds {
		if b != lowest {
			why = append(why, fmt.Sprintf("%s would allow %d", b.of, b.listeners))
		}
	}
	return Answer{Listeners: uint32(lowest.listeners), Why: strings.Join(why, ", ")}
}

// Chosen is Of for a number that was asked for, zero when none was: it stands, with a
// warning when the machine's files do not allow it.
func Chosen(asked uint32, m Machine) Answer {
	if asked == 0 {
		return Of(m)
	}
	a := Answer{Listeners: asked, Why: "as worker.capacity says"}
	if allowed := files(m.Files); m.Files > 0 && uint64(asked) > allowed {
		a.Warning = fmt.Sprintf("worker.capacity is %d, and the limit of %d open files allows %d: raise the limit (LimitNOFILE, ulimit -n), or leave worker.capacity at 0",
			asked, m.Files, allowed)
	}
	return a
}

func (m Machine) bounds() []bound {
	var out []bound
	if m.Files > 0 {
		out = append(out, bound{files(m.Files), fmt.Sprintf("the limit of %d open files", m.Files)})
	}
	if m.Memory > 0 {
		out = append(out, bound{room(m.Memory, userBytes+kernelBytes), fmt.Sprintf("%s (%s)", m.MemoryIs, size(m.Memory))})
	}
	if m.Heap > 0 {
		out = append(out, bound{room(m.Heap, userBytes), fmt.Sprintf("GOMEMLIMIT (%s)", size(m.Heap))})
	}
	return out
}

// files is how many listeners a limit of open files allows.
func files(limit uint64) uint64 { return max(rounded(limit-min(reserve, limit/2)), 1) }

// room is how many listeners of a size fit into memory.
func room(memory, each uint64) uint64 {
	usable := memory / memoryParts * usableParts
	return max(rounded((usable-min(usable, baseBytes))/each), least)
}

// rounded rounds a number of listeners down to two digits.
func rounded(n uint64) uint64 {
	n = min(n, most)
	unit := uint64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// size is a number of bytes for people.
func size(bytes uint64) string {
	if bytes >= 10<<30 {
		return fmt.Sprintf("%d GB", bytes>>30)
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}

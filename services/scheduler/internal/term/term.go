// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package term is one time of leading as a pure step function: when to read the
// cluster, what to change, what to do after a change that failed. It has no clock and
// no I/O; package leader carries its effects out, and the simulator drives it through
// every fault.
//
// Invariants: a change is only ever decided on a reading of the cluster as a whole,
// and after a change whose outcome is not known the cluster is read again; nothing the
// plan depends on outlives a reading. Which workers flap, which vanished and when
// grants were last renewed is forgotten with the term: a newcomer's share and an alarm
// are all that hangs on it. Where nothing is planned yet, which may be a new etcd beside an
// old registry, no plan is made before the registry has told how high its epochs are: it
// would refuse lower ones, and no worker can run anything without it.
package term

import (
	"slices"
	"time"

	"mailpush.internal/services/scheduler/internal/assign"
)

const (
	// failurePause is the wait after a reading or a change that failed.
	failurePause = time.Second
	// conflictPause is the wait after a pass that was overtaken by a worker's report.
	conflictPause = 20 * time.Millisecond
	// unreadPause is how often values that cannot be read are looked at: plans are not watched.
	unreadPause = 5 * time.Second
	// retryEvery is how often refused grants are renewed.
	retryEvery = 30 * time.Second
	// askPause is the wait before a registry that did not answer is asked again.
	askPause = 250 * time.Millisecond
)

// Event is something a leader has learned.
type Event interface{ event() }

type (
	// Hint tells that something may have changed, or the time of a Wait has come. It also
	// begins a term.
	Hint struct{}
	// Cluster answers Read. Entries are changed by it.
	Cluster struct{ Input assign.Input }
	// Told answers Ask: inputs from now on have the highest epoch that the registry had then.
	Told struct{}
	// Unanswered answers Ask: the registry is away.
	Unanswered struct{}
	// Applied answers Apply: the change has landed.
	Applied struct{}
	// Conflict answers Apply: the cluster had changed, and nothing has landed.
	Conflict struct{}
	// Failed answers Read, or Apply: whether the change has landed is not known.
	Failed struct{}
	// Deposed answers Apply: the term is over, and nothing has landed.
	Deposed struct{}
)

func (Hint) event()       {}
func (Cluster) event()    {}
func (Told) event()       {}
func (Unanswered) event() {}
func (Applied) event()    {}
func (Conflict) event()   {}
func (Failed) event()     {}
func (Deposed) event()    {}

// Effect is what a leader is to do next. There is one at a time.
type Effect interface{ effect() }

type (
	// Read reads the cluster; Cluster or Failed is its answer.
	Read struct{}
	// Ask asks the registry for the loads and the highest epoch; Told or Unanswered is its
	// answer.
	Ask struct{}
	// Apply makes one change to the plan as it was read, and as the changes before
	// this one left it. Applied, Conflict, Failed or Deposed is its answer.
	Apply struct{ Update assign.Update }
	// Wait waits for a Hint, or for so long if it is not 0, and then Hints.
	Wait struct {
		For    time.Duration
		Result Result
		Plan   assign.Plan // what was decided, when Result is Changed or Unchanged
	}
	// Stop ends the term.
	Stop struct{}
)

func (Read) effect()  {}
func (Ask) effect()   {}
func (Apply) effect() {}
func (Wait) effect()  {}
func (Stop) effect()  {}

// Result is how a pass went.
type Result string

// The results. The empty one is of a pass that was put off.
const (
	Changed    Result = "changed"
	Unchanged  Result = "unchanged"
	Conflicted Result = "conflict"
	Errored    Result = "error"
)

// Machine is the state of a term. It is not safe for concurrent use.
type Machine struct {
	pace    pace
	told    bool // by the registry, within this term
	flaps   assign.Flaps
	retried time.Time
	plan    assign.Plan
	done    int // how many of the plan's updates have landed
	rest    time.Duration
}

// Step takes in an event and returns what to do next. The first event is a Hint.
func (m *Machine) Step(event Event, now time.Time) Effect {
	switch event := event.(type) {
	case Cluster:
		return m.decide(event.Input, now)
	case Told:
		m.told = true
		return Read{} // workers may have come meanwhile
	case Unanswered:
		return Wait{For: askPause}
	case Applied:
		m.done++
		return m.next()
	case Conflict:
		return Wait{For: conflictPause, Result: Conflicted}
	case Failed:
		return Wait{For: failurePause, Result: Errored}
	case Deposed:
		return Stop{}
	default:
		return Read{}
	}
}

// decide makes a plan, unless the membership is still changing, or it would be the first one
// and the registry is yet to be asked.
func (m *Machine) decide(in assign.Input, now time.Time) Effect {
	if !m.told && first(in.Entries) {
		return Ask{}
	}
	if wait := m.pace.wait(in.Entries, now); wait > 0 {
		return Wait{For: wait}
	}
	if in.Retry = now.Sub(m.retried) >= retryEvery; in.Retry {
		m.retried = now
	}
	m.flaps.Observe(in.Entries, now)
	in.Vanished = m.flaps.Vanished(now.Add(-in.LeaseTTL))
	m.rest = 0
	if slices.ContainsFunc(in.Entries, func(entry assign.Entry) bool { return entry.Unread != assign.Unread{} }) {
		m.rest = unreadPause
	}
	m.plan, m.done = assign.Step(in), 0
	return m.next()
}

// first tells whether there are workers and no record of any grant. Records of grants tell
// how high epochs are; there are others, as of a worker that has left before it was given any.
func first(entries []assign.Entry) bool {
	live := false
	for _, entry := range entries {
		granted := len(entry.Want.GetGranted())+len(entry.Want.GetRevoked())+len(entry.Have.GetHeld()) > 0
		if granted || entry.Unread.Want || entry.Unread.Have {
			return false
		}
		live = live || entry.Worker != nil
	}
	return live
}

// next makes the plan's next change.
func (m *Machine) next() Effect {
	switch {
	case m.done < len(m.plan.Updates):
		return Apply{m.plan.Updates[m.done]}
	case m.done > 0:
		return Wait{For: m.rest, Result: Changed, Plan: m.plan}
	default:
		return Wait{For: m.rest, Result: Unchanged, Plan: m.plan}
	}
}

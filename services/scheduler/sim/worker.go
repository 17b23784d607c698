// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

const (
	backend    = "imapidle"
	relist     = 4 * time.Second // how long a watch is believed
	deliverGap = 700 * time.Millisecond

	handOverFor   = 7500 * time.Millisecond // the longest a hand-over may take
	handOverQuiet = 2 * time.Second         // and without any progress
)

// worker is a listener-worker: the production's decisions, on a simulated etcd,
// registry and clock.
type worker struct {
	*node

	world    *world
	draining bool
	leaving  bool        // it ends when it has given everything up, and joins no more
	member   *member     // nil without a registration
	parent   *supervisor // nil without one
}

// member is one registration of a worker.
type member struct {
	*worker

	id      string
	created int64
	lease   int
	haveRev int64
	fence   hold.Fence // on the node's clock
	machine *hold.Machine
	right   hold.Right
	over    bool
	stopped bool // it takes nothing in any more; what runs comes to its end
	robbed  bool // its lease was ended before its time
}

func (w *world) addWorker() {
	n := &worker{node: w.newNode(fmt.Sprint("worker ", len(w.workers)+1)), world: w}
	w.workers = append(w.workers, n)
	w.supervise(n)
	n.join()
}

// joined is the answer to a registration.
type joined struct {
	lease   *lease
	created int64
}

// join registers the worker under a fresh id. A registration whose answer is lost is
// nobody's, and ends with its lease.
func (n *worker) join() {
	if n.leaving {
		n.dead = true
		return
	}
	n.world.ids++
	id := fmt.Sprintf("w%02d", n.world.ids)
	sent := n.clock()
	registration := &clusterv1.Worker{Id: id, Address: n.name, Backends: []string{backend}, Capacity: n.world.shards * most, Draining: n.draining}
	call(n.world, n.node, &n.world.etcd.server, func() joined {
		lease, created := n.world.etcd.join(registration)
		return joined{lease, created}
	}, func(answer joined) { n.begin(id, sent, answer) }, func() { n.after(200*time.Millisecond, n.join) })
}

func (n *worker) begin(id string, sent time.Duration, answer joined) {
	m := &member{
		worker: n, id: id, created: answer.created, lease: answer.lease.id,
		machine: hold.New(n.random),
	}
	n.member = m
	n.parent.registered(m.lease)
	m.extend(sent)
	n.note(n.name + " is " + id)
	n.world.etcd.entry(id).watch = m.watch
	n.world.drain(n, n.draining) // it may have been told so meanwhile
	m.keepRenewing()
	m.keepListing()
	m.keepDelivering()
	m.look()
}

// alive tells whether this is still the worker's registration.
func (m *member) alive() bool { return !m.over }

// extend takes in that a renewal sent at a time was acknowledged.
func (m *member) extend(sent time.Duration) {
	switch m.world.mutation {
	case fenceFromReceipt:
		sent = m.clock()
	case wholeLease:
		sent += m.world.ttl / 10
	default:
	}
	m.fence.Extend(sent, m.world.ttl)
	m.world.extended(m)
}

// keepRenewing renews the lease each quarter of the TTL, by the node's clock.
func (m *member) keepRenewing() {
	m.after(m.world.ttl/4, func() {
		if !m.alive() {
			return
		}
		sent := m.clock()
		call(m.world, m.node, &m.world.etcd.server, func() bool { return m.world.etcd.renew(m.lease) }, func(there bool) {
			switch {
			case !m.alive():
			case there:
				m.extend(sent)
				m.step(hold.Tick{})
				m.look()
			default:
				m.lost()
			}
		}, func() {})
		m.keepRenewing()
	})
}

// current tells whether the right to act is current, by the node's clock.
func (m *member) current() bool {
	return m.world.mutation == noFence || !m.fence.Over(m.clock())
}

// look steps the machine when the fence is reached.
func (m *member) look() {
	m.after(max(m.fence.Until()-m.clock(), 0)+time.Millisecond, func() {
		if m.alive() {
			m.step(hold.Tick{})
		}
	})
}

// watch brings a want: late, more than once, out of order, or not at all.
func (m *member) watch(want *clusterv1.Want) {
	if m.world.chance(m.world.blind) {
		return // compacted away
	}
	for times := 1; times == 1 || m.world.chance(0.15); times++ {
		if m.now >= m.cutFrom {
			m.reach(m.now+m.world.delay(), func() { m.wanted(want) })
		}
	}
}

// keepListing reads the want now and then: a watch alone is never the truth.
func (m *member) keepListing() {
	call(m.world, m.node, &m.world.etcd.server, func() *clusterv1.Want {
		return m.world.etcd.entry(m.id).want
	}, m.wanted, func() {})
	m.after(m.world.between(relist/2, relist), func() {
		if m.alive() {
			m.keepListing()
		}
	})
}

func (m *member) wanted(want *clusterv1.Want) {
	if m.alive() {
		m.step(hold.Wanted{Want: want})
	}
}

// step tells the machine of an event, and of its right first, and carries out what it
// decides.
func (m *member) step(event hold.Event) {
	if m.stopped {
		return
	}
	right := hold.Current
	if !m.current() {
		right = hold.InDoubt
	}
	if right != m.right {
		m.right = right
		m.carryOut(hold.Righted{Right: right})
	}
	m.carryOut(event)
	if next := m.machine.Next(); !next.IsZero() {
		m.after(max(next.Sub(m.wall()), time.Millisecond), func() {
			if m.alive() {
				m.step(hold.Tick{})
			}
		})
	}
}

func (m *member) carryOut(event hold.Event) {
	for _, effect := range m.machine.Step(event, m.wall()) {
		switch effect := effect.(type) {
		case hold.Read:
			m.read(effect)
		case hold.Release:
			m.after(m.world.between(0, time.Second), func() {
				if m.alive() {
					m.step(hold.Drained(effect))
				}
			})
		case hold.Report:
			m.report(effect.Have, 2)
		case hold.Began:
			m.world.began(m, effect.Claims)
		case hold.Ended:
			m.world.ended(m, effect.Claims)
		}
	}
}

// read opens the epochs; the mailboxes are of no interest here.
func (m *member) read(read hold.Read) {
	if m.world.mutation == beginUnopened {
		m.after(0, func() { m.step(hold.Loaded{Read: read}) })
		return
	}
	call(m.world, m.node, &m.world.registry.server, func() []hold.Claim {
		return m.world.registry.open(read.Claims)
	}, func(refused []hold.Claim) {
		if m.alive() {
			m.step(hold.Loaded{Read: read, Refused: refused})
		}
	}, func() {
		if m.alive() {
			m.step(hold.Loaded{Read: read, Failed: true})
		}
	})
}

// report stores what is run, as cluster.Member does: after a report whose outcome is
// unknown the revision found is taken over.
func (m *member) report(have *clusterv1.Have, tries int) {
	known := m.haveRev
	call(m.world, m.node, &m.world.etcd.server, func() stored {
		return m.world.etcd.report(m.id, m.created, known, proto.CloneOf(have))
	}, func(answer stored) {
		switch {
		case !m.alive():
		case answer.gone:
			m.lost()
		case answer.ok:
			m.haveRev = answer.haveRev
			m.step(hold.Reported{Have: have})
		case tries > 1:
			m.haveRev = answer.haveRev
			m.report(have, tries-1)
		default:
			m.haveRev = answer.haveRev
			m.step(hold.Reported{Have: have, Failed: true})
		}
	}, func() {
		if m.alive() {
			m.step(hold.Reported{Have: have, Failed: true})
		}
	})
}

// lost ends the registration, whose key is gone, and begins another.
func (m *member) lost() {
	m.end()
	m.join()
}

// end stops everything of a registration.
func (m *member) end() {
	m.note(m.id + " is over")
	m.step(hold.Over{})
	m.over, m.member = true, nil
}

// leave gives everything up in an orderly way, as package owner does: it drains, and
// stops when nothing is left, when nothing moves, and at last when it takes too long.
// then is called when the worker has ended, unless it dies before that.
func (n *worker) leave(then func()) {
	n.leaving = true
	n.world.drain(n, true)
	m, latest := n.member, n.clock()
	if !n.world.chance(0.3) { // else there is nobody to ask for others
		latest += handOverFor
	}
	if m == nil {
		n.dead = true
		n.at(n.now, then)
		return
	}
	before, since := m.machine.Progress(), n.clock()
	var look func()
	look = func() {
		now := m.machine.Progress()
		if now != before || now.Draining > 0 {
			before, since = now, n.clock()
		}
		switch {
		case !m.alive():
			n.dead = true
			n.at(n.now, then)
		case now.Left == 0, n.clock() >= min(latest, since+handOverQuiet):
			m.stop(then)
		default:
			n.after(100*time.Millisecond, look)
		}
	}
	look()
}

// stop ends what runs, says so and ends the registration. What the leader wants
// meanwhile is not looked at any more.
func (m *member) stop(then func()) {
	m.note(m.id + " stops")
	m.stopped = true
	ended := func() {
		m.dead = true
		m.at(m.now, then)
	}
	leave := func() {
		call(m.world, m.node, &m.world.etcd.server, func() bool { m.world.etcd.revoke(m.lease); return true }, func(bool) { ended() }, ended)
	}
	if m.world.mutation == farewellEarly {
		m.farewell(m.machine.Farewell(), 2, func() {})
	}
	m.after(m.world.between(0, time.Second), func() {
		farewell := m.machine.Farewell()
		m.stopped = false
		m.end()
		m.farewell(farewell, 2, leave)
	})
}

// farewell makes the last report.
func (m *member) farewell(have *clusterv1.Have, tries int, then func()) {
	known := m.haveRev
	call(m.world, m.node, &m.world.etcd.server, func() stored {
		return m.world.etcd.report(m.id, m.created, known, have)
	}, func(answer stored) {
		if m.haveRev = answer.haveRev; !answer.ok && !answer.gone && tries > 1 {
			m.farewell(have, tries-1, then)
			return
		}
		then()
	}, then)
}

// keepDelivering pushes something for a shard now and then, as mail comes in.
func (m *member) keepDelivering() {
	m.after(m.world.between(deliverGap/2, deliverGap), func() {
		if !m.alive() {
			return
		}
		if claims := m.machine.Acting(); len(claims) > 0 {
			m.deliver(claims[m.random.IntN(len(claims))])
		}
		m.keepDelivering()
	})
}

// deliver pushes if the right to act is current, or after the registry has said that
// the epoch is still the newest. Then it stores a cursor.
func (m *member) deliver(claim hold.Claim) {
	if m.current() {
		m.world.delivered(m, claim)
		m.commit(claim)
		return
	}
	call(m.world, m.node, &m.world.registry.server, func() []hold.Claim {
		return m.world.registry.open([]hold.Claim{claim})
	}, func(refused []hold.Claim) {
		switch {
		case !m.alive():
		case len(refused) > 0:
			m.step(hold.Refused{Claims: refused})
		default:
			m.world.confirmed++
			m.commit(claim)
		}
	}, func() {})
}

func (m *member) commit(claim hold.Claim) {
	call(m.world, m.node, &m.world.registry.server, func() bool {
		accepted := m.world.registry.commit(claim)
		if m.dead && m.parent != nil && m.parent.revoked && !accepted {
			m.world.fenced++
		}
		return accepted
	}, func(accepted bool) {
		if m.alive() && !accepted {
			m.step(hold.Refused{Claims: []hold.Claim{claim}})
		}
	}, func() {})
}

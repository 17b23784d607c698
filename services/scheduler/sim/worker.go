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
)

// worker is a listener-worker: the production's decisions, on a simulated etcd,
// registry and clock.
type worker struct {
	*node

	world    *world
	draining bool
	member   *member // nil without a registration
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
}

func (w *world) addWorker() {
	n := &worker{node: w.newNode(fmt.Sprint("worker ", len(w.workers)+1)), world: w}
	w.workers = append(w.workers, n)
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
	n.world.ids++
	id := fmt.Sprintf("w%02d", n.world.ids)
	sent := n.clock()
	registration := &clusterv1.Worker{Id: id, Address: n.name, Backends: []string{backend}, Capacity: 1000, Draining: n.draining}
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
	m.fence.Extend(sent, ttl)
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

// keepRenewing renews the lease each quarter of the TTL, by the node's clock.
func (m *member) keepRenewing() {
	m.after(ttl/4, func() {
		if !m.alive() {
			return
		}
		sent := m.clock()
		call(m.world, m.node, &m.world.etcd.server, func() bool { return m.world.etcd.renew(m.lease) }, func(there bool) {
			switch {
			case !m.alive():
			case there:
				m.fence.Extend(sent, ttl)
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
		return m.world.registry.commit(claim)
	}, func(accepted bool) {
		if m.alive() && !accepted {
			m.step(hold.Refused{Claims: []hold.Claim{claim}})
		}
	}, func() {})
}

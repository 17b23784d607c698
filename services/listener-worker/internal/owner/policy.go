// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"mailpush.internal/pkg/hold"
)

// A policy says who gets a listener, and the registry applies it when a shard is listed: so
// a change of it reaches what runs when everything is read again. From the change to the
// last read it takes policyEvery and policySpread, 15 seconds together.
const (
	// policyEvery is how often the registry is asked which policy it goes by.
	policyEvery = 3 * time.Second
	// policySpread is how long reading everything again takes: all workers see a change at
	// the same time, and the registry is one.
	policySpread = 12 * time.Second
	// policySlices is how many parts everything is read in.
	policySlices = 24
	// policyChanges is how many changes of the policy are followed at once within
	// policyCalm. Replicas of the registry that disagree, as in the midst of a rolling
	// change, could have everything read again each time that another one answers; an operator
	// who tries switches is to see them all.
	policyChanges = 10
	policyCalm    = 10 * time.Minute
)

// Policies tells which policy the registry goes by.
type Policies interface {
	// Policy differs from one policy to the next; empty where the registry is too old to
	// tell.
	Policy(ctx context.Context) (string, error)
}

// policies follows which policy the registry goes by. It is pure.
type policies struct {
	known    string // empty before the first
	followed []time.Time
}

// saw takes in what the registry said, and tells whether to read everything again. A change
// that is one too many is followed when enough time has passed, if it is still there.
func (p *policies) saw(policy string, now time.Time) bool {
	switch {
	case policy == p.known || policy == "": // an older registry has none to tell
		return false
	case p.known == "": // what has been read until now was read under it
		p.known = policy
		return false
	case len(p.followed) == policyChanges && now.Sub(p.followed[0]) < policyCalm:
		return false
	}
	if len(p.followed) == policyChanges {
		p.followed = p.followed[1:]
	}
	p.followed = append(p.followed, now)
	p.known = policy
	return true
}

// rereading is a slow walk through all shards, to read them again.
type rereading struct {
	slice int       // the next one; policySlices when it is over
	at    time.Time // when the next one is due
}

// due is when the next slice is; the zero time when there is none.
func (r *rereading) due() time.Time {
	if r.slice == policySlices {
		return time.Time{}
	}
	return r.at
}

// followPolicy has everything read again after the policy has changed.
func (m *membership) followPolicy() {
	m.loop.Go(func() {
		var seen policies
		for m.ctx.Err() == nil {
			policy, err := m.registry.Policy(m.ctx)
			// A registry that is away can list nothing either, and is asked again soon.
			if err == nil && seen.saw(policy, time.Now()) {
				m.loop.Post(func() { m.reread(policy) })
			}
			pause(m.ctx, policyEvery*3/4+rand.N(policyEvery/2))
		}
	})
}

// reread begins to read everything again, also where it has begun to do so already.
func (m *membership) reread(policy string) {
	m.cfg.Log.InfoContext(m.ctx, "the registry goes by another policy, all shards are read again", "policy", policy)
	m.rereading = rereading{at: time.Now().Add(rand.N(policySpread / policySlices))}
}

// readSlice has the next part of the shards read again.
func (m *membership) readSlice(now time.Time) {
	claims := slices.DeleteFunc(m.machine.Acting(), func(claim hold.Claim) bool {
		return int(claim.Shard)%policySlices != m.rereading.slice
	})
	m.step(hold.Reread{Claims: claims})
	m.rereading.slice++
	m.rereading.at = now.Add(policySpread / policySlices)
}

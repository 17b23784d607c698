// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hints

import (
	"sync"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// maxNames bounds the names that are remembered, of each of two generations.
	maxNames = 50_000
	// knownFor and unknownFor are how long the registry's answer is believed, twice that
	// at most. That nobody has a name is soon no longer true.
	knownFor   = 5 * time.Minute
	unknownFor = 2 * time.Second
)

// names remembers whose names are. The zero value is empty.
type names struct {
	mu             sync.Mutex
	known, unknown generations
}

// find is what was learned of a name.
func (n *names) find(name key) (users []mailbox.User, found bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.known.age(now, knownFor)
	n.unknown.age(now, unknownFor)
	if users, found = n.known.find(name); found {
		return users, true
	}
	return n.unknown.find(name)
}

// learn takes in whose a name is.
func (n *names) learn(name key, users []mailbox.User) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(users) > 0 {
		n.known.learn(name, users)
		return
	}
	n.unknown.learn(name, nil)
}

// generations are two of them, of which the old one is forgotten when the young one is
// full or its time is over: constant work, whoever makes names up.
type generations struct {
	young, old map[key][]mailbox.User
	since      time.Time
}

func (g *generations) age(now time.Time, lasts time.Duration) {
	past := now.Sub(g.since)
	if past < lasts && len(g.young) < maxNames {
		return
	}
	g.old, g.young, g.since = g.young, nil, now
	if past >= 2*lasts {
		g.old = nil
	}
}

func (g *generations) find(name key) (users []mailbox.User, found bool) {
	if users, found = g.young[name]; !found {
		users, found = g.old[name]
	}
	return users, found
}

func (g *generations) learn(name key, users []mailbox.User) {
	if g.young == nil {
		g.young = make(map[key][]mailbox.User)
	}
	g.young[name] = users
}

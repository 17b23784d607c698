// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailnotify

import (
	"sync"
	"time"

	"mailpush.internal/services/listener-worker/internal/hints"
)

// maxGathered bounds the users whose hints are gathered; the longest waiting makes room.
const maxGathered = 10_000

// gathering makes the hints of a user that come within a window one. All wait equally
// long, so whoever came first is the next to go.
type gathering struct {
	window time.Duration
	put    func(hints.Hint) hints.Result

	mu      sync.Mutex
	waiting map[string]*gathered // by the user's name
	queue   []*gathered
	timer   *time.Timer
}

type gathered struct {
	hint hints.Hint
	due  time.Time
}

// add takes a hint in.
func (g *gathering) add(hint hints.Hint) {
	if g.window == 0 {
		g.put(hint)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.waiting[hint.Name]; known != nil {
		known.hint.Hint = known.hint.Merge(hint.Hint)
		return
	}
	if g.waiting == nil {
		g.waiting = make(map[string]*gathered)
	}
	if len(g.queue) >= maxGathered {
		g.pop()
	}
	of := &gathered{hint: hint, due: time.Now().Add(g.window)}
	g.waiting[hint.Name] = of
	g.queue = append(g.queue, of)
	if len(g.queue) == 1 {
		g.wait()
	}
}

// wait sets the timer for the next to go.
func (g *gathering) wait() {
	g.timer = time.AfterFunc(time.Until(g.queue[0].due), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for len(g.queue) > 0 && !time.Now().Before(g.queue[0].due) {
			g.pop()
		}
		if len(g.queue) > 0 {
			g.wait()
		}
	})
}

// pop lets the next one go.
func (g *gathering) pop() {
	of := g.queue[0]
	g.queue[0] = nil
	g.queue = g.queue[1:]
	delete(g.waiting, of.hint.Name)
	g.put(of.hint)
}

// flush lets all go, and waits for nothing more.
func (g *gathering) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
	for len(g.queue) > 0 {
		g.pop()
	}
}

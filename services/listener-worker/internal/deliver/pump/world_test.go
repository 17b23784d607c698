// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// pageSize is how many UIDs a world's mailbox answers a fetch with.
const pageSize = 150

// fataler is what a test and a property have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a mailbox, an endpoint and the clock around one pump.
type world struct {
	t       fataler
	pump    *pump.Pump
	now     time.Time
	uv      uint32
	present map[uint32]bool // the mails in the folder
	next    uint32
	answer  func(transport.Batch) transport.Result // nil: everything is accepted

	ask   func() pump.Event // answers the open Ready, Fetch or Ping
	timer time.Time
	out   *transport.Batch // with the endpoint

	requests []transport.Batch
	skips    []pump.Skip
	told     []pump.Effect  // Failing and Healthy
	cursor   mailbox.Cursor // as committed
	pings    int
	commit   func(pump.Commit, *pump.Skip) // looks at each commit
	accepted []uint32                      // the first UIDs of what was accepted
	gone     []string                      // the reasons of EndpointGone
}

func newWorld(t fataler, p *pump.Pump) *world {
	return &world{
		t: t, pump: p, now: epoch(), uv: uv, next: 11, present: make(map[uint32]bool),
		cursor: mailbox.Cursor{UIDValidity: uv, UID: 10},
	}
}

func (w *world) head() pump.Head {
	return pump.Head{UIDValidity: w.uv, UIDNext: w.next, Noticed: w.now}
}

// tell has the pump learn where the folder ends.
func (w *world) tell() { w.step(w.head()) }

// arrive has mails come.
func (w *world) arrive(count int) {
	for range count {
		w.present[w.next] = true
		w.next++
	}
	w.tell()
}

func (w *world) step(event pump.Event) {
	var skip *pump.Skip
	for _, effect := range w.pump.Step(event, w.now) {
		if _, ok := effect.(pump.Commit); !ok && skip != nil {
			w.t.Fatalf("%T after a Skip", effect)
		}
		switch effect := effect.(type) {
		case pump.Ready:
			w.ask = func() pump.Event { return pump.Turn{} }
		case pump.Fetch:
			w.ask = func() pump.Event { return w.read(effect.From) }
		case pump.Ping:
			w.pings++
			w.ask = func() pump.Event { return pump.Pinged{} }
		case pump.Send:
			w.request(effect.Batch)
		case pump.Wait:
			w.timer = effect.Until
		case pump.Skip:
			skip = &effect
			w.skips = append(w.skips, effect)
		case pump.Commit:
			w.committed(effect, skip)
			skip = nil
		case pump.Failing, pump.Healthy:
			w.told = append(w.told, effect)
		case pump.EndpointGone:
			w.gone = append(w.gone, effect.Reason)
		case pump.Done, pump.Confirmed, pump.Absent, pump.Present:
		}
	}
}

func (w *world) committed(commit pump.Commit, skip *pump.Skip) {
	same := commit.Cursor.UIDValidity == w.cursor.UIDValidity
	if same && commit.Cursor.UID < w.cursor.UID && !commit.Rewind {
		w.t.Fatalf("the cursor went back from %v to %v", w.cursor, commit.Cursor)
	}
	if w.commit != nil {
		w.commit(commit, skip)
	}
	w.cursor = commit.Cursor
}

// read answers a fetch with at most pageSize UIDs, as a listener may.
func (w *world) read(from uint32) pump.Fetched {
	upto := min(w.next-1, from+pageSize-1)
	out := pump.Fetched{Head: w.head(), From: from, Upto: upto}
	for uid := from; uid <= upto; uid++ {
		if w.present[uid] {
			out.Mails = append(out.Mails, mailbox.Mail{UID: uid, From: "Anna <anna@example.org>", Subject: "A subject of forty letters or there about"})
		}
	}
	return out
}

func (w *world) request(batch transport.Batch) {
	if w.out != nil {
		w.t.Fatal("two requests are in flight")
	}
	w.requests = append(w.requests, batch)
	w.out = &batch
}

// settle lets everything happen that takes no time.
func (w *world) settle() {
	w.t.Helper()
	for n := 0; w.ask != nil || w.out != nil; n++ {
		if n > 10_000 {
			w.t.Fatal("it spins")
		}
		switch {
		case w.out != nil:
			batch := *w.out
			w.out = nil
			result := transport.Result{}
			if w.answer != nil {
				result = w.answer(batch)
			}
			if result.Class == transport.OK && !batch.Reset {
				w.accepted = append(w.accepted, batch.From)
			}
			w.step(pump.Sent{Result: result})
		default:
			ask := w.ask
			w.ask = nil
			w.step(ask())
		}
	}
}

// run lets time go by.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for w.settle(); w.timer.After(w.now) && !w.timer.After(end); w.settle() {
		w.now = w.timer
		w.step(pump.Tick{})
	}
	w.now = end
}

// checkOrder holds that what was accepted came in the order of the folder, once.
func (w *world) checkOrder() {
	w.t.Helper()
	if !slices.IsSorted(w.accepted) || len(slices.Compact(slices.Clone(w.accepted))) < len(w.accepted) {
		w.t.Fatalf("accepted in the order %v", w.accepted)
	}
}

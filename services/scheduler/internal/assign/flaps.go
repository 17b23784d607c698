// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import "time"

const (
	// flapWindow is how long the loss of a lease is held against a worker, and
	// flapLosses how many of them make it one that flaps.
	flapWindow = 5 * time.Minute
	flapLosses = 2
)

// Flaps counts how often workers lost their lease, and how many did of late. Each start
// of a worker has an id of its own, so what flaps is its address. The zero Flaps has seen
// nothing.
//
// It is what a leader remembers beside etcd, and may lose: a new leader believes each
// worker anew, which costs one more take-over and never a listener.
type Flaps struct {
	present map[string]string      // by id: the address of who was there last time
	lost    map[string][]time.Time // by address, ascending
}

// Observe looks at the workers of a snapshot and tells in each entry how many leases
// the worker's address has lost of late. A worker that drained has not lost its own.
func (f *Flaps) Observe(entries []Entry, now time.Time) {
	present, alive := make(map[string]string, len(entries)), make(map[string]bool, len(entries))
	for _, entry := range entries {
		alive[entry.ID] = entry.live()
		if entry.Worker != nil && !entry.Worker.GetDraining() {
			present[entry.ID] = entry.Worker.GetAddress()
		}
	}
	if f.lost == nil {
		f.lost = make(map[string][]time.Time)
		f.present = unplaced(entries) // with whose loss the last leader may have gone, too
	}
	for id, address := range f.present {
		if !alive[id] {
			f.lost[address] = append(f.lost[address], now)
		}
	}
	f.present = present
	f.forget(now.Add(-flapWindow))
	for i := range entries {
		entries[i].Losses = len(f.lost[entries[i].Worker.GetAddress()])
	}
}

// unplaced are the gone whose shards nobody has taken over yet, but for those who had let
// go of them: all that run in one process stop in order, and start without an alarm. Their
// addresses are not known any more.
func unplaced(entries []Entry) map[string]string {
	out := make(map[string]string)
	for _, entry := range entries {
		letGo := entry.Have != nil && len(entry.Have.GetHeld()) == 0
		if !entry.live() && len(entry.Want.GetGranted()) > 0 && !letGo {
			out[entry.ID] = entry.ID
		}
	}
	return out
}

// Vanished is how many workers have lost their lease since then.
func (f *Flaps) Vanished(since time.Time) int {
	n := 0
	for _, lost := range f.lost {
		for _, at := range lost {
			if !at.Before(since) {
				n++
			}
		}
	}
	return n
}

// forget drops what was lost before.
func (f *Flaps) forget(before time.Time) {
	for address, lost := range f.lost {
		for len(lost) > 0 && lost[0].Before(before) {
			lost = lost[1:]
		}
		if f.lost[address] = lost; len(lost) == 0 {
			delete(f.lost, address)
		}
	}
}

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

// Flaps counts how often workers lost their lease. Each start of a worker has an id
// of its own, so what counts is its address. The zero Flaps has seen nothing.
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"slices"
	"sync"
)

// Folder is the folder of a scripted server. Its mails have a UID and nothing
// else of note. It is safe for concurrent use.
type Folder struct {
	mu          sync.Mutex
	uidValidity uint32
	uidNext     uint32
	uids        []uint32
	changed     chan struct{} // closed and replaced by Announce
}

// NewFolder makes an empty folder with UIDVALIDITY 1.
func NewFolder() *Folder {
	return &Folder{uidValidity: 1, uidNext: 1, changed: make(chan struct{})}
}

// Add adds n mails without telling anybody, and returns the last one's UID.
func (f *Folder) Add(n int) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(n)
	return f.uidNext - 1
}

func (f *Folder) add(n int) {
	for range n {
		f.uids = append(f.uids, f.uidNext)
		f.uidNext++
	}
}

// Expunge removes the mails of a range of UIDs without telling anybody.
func (f *Folder) Expunge(from, upto uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uids = slices.DeleteFunc(f.uids, func(uid uint32) bool { return uid >= from && uid <= upto })
}

// Reset gives the folder a new UIDVALIDITY and no mails.
func (f *Folder) Reset(uidValidity uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uidValidity, f.uidNext, f.uids = uidValidity, 1, nil
}

// Rewind leaves n mails with the first UIDs there are, under the same UIDVALIDITY, as
// a server does that is restored from an old backup.
func (f *Folder) Rewind(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uidNext, f.uids = 1, nil
	f.add(n)
}

// Announce tells all sessions in IDLE how many mails there are.
func (f *Folder) Announce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

// Deliver adds a mail and announces it.
func (f *Folder) Deliver() uint32 {
	uid := f.Add(1)
	f.Announce()
	return uid
}

func (f *Folder) ends() (uidValidity, uidNext uint32, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.uidValidity, f.uidNext, len(f.uids)
}

// between returns the UIDs of a range, and the sequence number of the first.
func (f *Folder) between(from, upto uint32) (uids []uint32, seq int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	start, _ := slices.BinarySearch(f.uids, from)
	end := start
	for end < len(f.uids) && f.uids[end] <= upto {
		end++
	}
	return slices.Clone(f.uids[start:end]), start + 1
}

func (f *Folder) word() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

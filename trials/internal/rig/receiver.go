// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net/http"
	"sync"

	"mailpush.internal/pkg/pushtest"
)

// Receiver is an endpoint for the subscriptions of many mailboxes, each at its own
// path. It accepts everything and remembers which mail it was pushed under which event
// id. It is safe for concurrent use.
type Receiver struct {
	*pushtest.Receiver

	mu     sync.Mutex
	pushed map[string]map[uint32][]string // by mailbox and UID: event ids, one for each push
	events int                            // in all pushes
}

// NewReceiver starts one on a free loopback port.
func NewReceiver() (*Receiver, error) {
	r := &Receiver{pushed: make(map[string]map[uint32][]string)}
	var err error
	r.Receiver, err = pushtest.New(pushtest.Options{Answer: r.take, Forget: true})
	return r, err
}

func (r *Receiver) take(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	defer pushtest.Accept(w, request, push)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pushed[push.Path] == nil {
		r.pushed[push.Path] = make(map[uint32][]string)
	}
	r.events += len(push.Data.Events)
	for _, event := range push.Data.Events {
		r.pushed[push.Path][event.UID] = append(r.pushed[push.Path][event.UID], event.ID)
	}
}

// Missing counts the mails with the UIDs, in the first n mailboxes, that were not pushed.
func (r *Receiver) Missing(n int, from, upto uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := 0
	for box := range n {
		missing += r.missing(box, from, upto)
	}
	return missing
}

// MissingOf does that for the mailboxes that got so many mails each.
func (r *Receiver) MissingOf(mails []uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := 0
	for box, upto := range mails {
		missing += r.missing(box, 1, upto)
	}
	return missing
}

func (r *Receiver) missing(box int, from, upto uint32) int {
	missing, mails := 0, r.pushed[Box(box)]
	for uid := from; uid <= upto; uid++ {
		if len(mails[uid]) == 0 {
			missing++
		}
	}
	return missing
}

// Events counts the events of all pushes so far.
func (r *Receiver) Events() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}

// Doubled counts the pushes of mails with the UIDs that had been pushed before.
func (r *Receiver) Doubled(from, upto uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	doubled := 0
	for _, mails := range r.pushed {
		for uid := from; uid <= upto; uid++ {
			doubled += max(len(mails[uid])-1, 0)
		}
	}
	return doubled
}

// Wrong names the mails that were pushed under more than one event id.
func (r *Receiver) Wrong() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var wrong []string
	for box, mails := range r.pushed {
		for uid, ids := range mails {
			for _, id := range ids {
				if id != ids[0] {
					wrong = append(wrong, fmt.Sprintf("%s %d: %v", box, uid, ids))
				}
			}
		}
	}
	return wrong
}

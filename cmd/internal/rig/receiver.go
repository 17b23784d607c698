// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Receiver is an endpoint for the subscriptions of many mailboxes, each at its own
// path. It accepts everything and remembers which mail it was pushed under which event
// id. It is safe for concurrent use.
type Receiver struct {
	server *httptest.Server

	mu     sync.Mutex
	pushed map[string]map[uint32][]string // by mailbox and UID: event ids, one for each push
}

// NewReceiver starts one on a free loopback port.
func NewReceiver() (*Receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not block
	if err != nil {
		return nil, fmt.Errorf("starting a receiver of pushes: %w", err)
	}
	r := &Receiver{pushed: make(map[string]map[uint32][]string)}
	r.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(r.take)}} //nolint:gosec // on loopback
	r.server.Start()
	return r, nil
}

// URL is where the paths of the mailboxes begin.
func (r *Receiver) URL() string { return r.server.URL }

// Close ends it.
func (r *Receiver) Close() { r.server.Close() }

// take answers 200 without a body, which is what most endpoints do.
func (r *Receiver) take(_ http.ResponseWriter, request *http.Request) {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	var push struct {
		Data struct {
			Events []struct {
				ID  string `json:"id"`
				UID uint32 `json:"uid"`
			} `json:"events"`
		} `json:"data"`
	}
	if json.Unmarshal(text, &push) != nil {
		return
	}
	box := strings.TrimPrefix(request.URL.Path, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pushed[box] == nil {
		r.pushed[box] = make(map[uint32][]string)
	}
	for _, event := range push.Data.Events {
		r.pushed[box][event.UID] = append(r.pushed[box][event.UID], event.ID)
	}
}

// Missing counts the mails with the UIDs, in the first n mailboxes, that were not pushed.
func (r *Receiver) Missing(n int, from, upto uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := 0
	for box := range n {
		mails := r.pushed[Box(box)]
		for uid := from; uid <= upto; uid++ {
			if len(mails[uid]) == 0 {
				missing++
			}
		}
	}
	return missing
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

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

// receiver is the endpoint of all subscriptions. It accepts everything and remembers
// which mail it was pushed under which event id.
type receiver struct {
	server *httptest.Server

	mu     sync.Mutex
	pushed map[string]map[uint32][]string // by mailbox and UID: event ids, one for each push
}

func newReceiver() (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not block
	if err != nil {
		return nil, err
	}
	r := &receiver{pushed: make(map[string]map[uint32][]string)}
	r.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(r.take)}} //nolint:gosec // on loopback
	r.server.Start()
	return r, nil
}

// take answers 200 without a body, which is what most endpoints do.
func (r *receiver) take(_ http.ResponseWriter, request *http.Request) {
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

// missing counts the mails up to a UID that some mailbox has not been pushed.
func (r *receiver) missing(boxes []string, upto uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, box := range boxes {
		for uid := uint32(1); uid <= upto; uid++ {
			if len(r.pushed[box][uid]) == 0 {
				n++
			}
		}
	}
	return n
}

// doubled counts the pushes of the mails with the UIDs that had been pushed before.
func (r *receiver) doubled(from, upto uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, mails := range r.pushed {
		for uid, ids := range mails {
			if uid >= from && uid <= upto {
				n += len(ids) - 1
			}
		}
	}
	return n
}

// wrong names the pushes of mails that had been pushed before under another id.
func (r *receiver) wrong() (wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"net/http"
	"sync"

	"mailpush.internal/pkg/pushtest"
)

// hang is the answer of an endpoint that gives none before release.
const hang = 0

// receiver is an origin with an endpoint at each path. It accepts everything, but for what it
// is told to answer otherwise. It is safe for concurrent use.
type receiver struct {
	*pushtest.Receiver

	mu      sync.Mutex
	answers map[string]int // by path: a status, or hang

	released chan struct{} // closed by release
}

func newReceiver() (*receiver, error) {
	r := &receiver{answers: make(map[string]int), released: make(chan struct{})}
	var err error
	r.Receiver, err = pushtest.New(pushtest.Options{Answer: r.answer, Forget: true})
	return r, err
}

// set has the endpoint at a path answer with a status.
func (r *receiver) set(path string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[path] = status
}

// release has endpoints that hang take what they were sent, from now on. It is called once.
func (r *receiver) release() { close(r.released) }

func (r *receiver) answer(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	r.mu.Lock()
	status, set := r.answers[push.Path]
	r.mu.Unlock()
	switch {
	case !set:
		pushtest.Accept(w, request, push)
	case status == hang:
		select {
		case <-r.released:
			pushtest.Accept(w, request, push)
		case <-request.Context().Done():
		}
	default:
		w.WriteHeader(status)
	}
}

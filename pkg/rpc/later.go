// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
)

// Later is the handler of a service that is still starting. Until what it waits for is
// there, each call is answered Unavailable, so that callers know at once and try again, and
// do not hang at a socket that nobody reads.
type Later struct {
	why     string
	answers *connect.ErrorWriter
	handler atomic.Pointer[http.Handler]
}

// NewLater makes a handler that has nothing yet. why is a public text.
func NewLater(why string) *Later { return &Later{why: why, answers: connect.NewErrorWriter()} }

// Set has the calls from now on served by h.
func (l *Later) Set(h http.Handler) { l.handler.Store(&h) }

// ServeHTTP implements [http.Handler].
func (l *Later) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := l.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	// Of a caller that has gone away nobody needs to know.
	_ = l.answers.Write(w, r, ToConnect(fault.New(fault.Unavailable, "%s; try again", l.why)))
}

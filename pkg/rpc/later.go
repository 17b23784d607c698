// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"net/http"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
)

// firstTime is how long after its start a service has callers wait: a start in order takes
// no longer, and they need not know of it.
const firstTime = 5 * time.Second

// Later is the handler of a service that is still starting. A call waits a little, and is
// then answered Unavailable until what it waits for is there: so callers know and try
// again, and do not hang at a socket that nobody reads.
type Later struct {
	why     string
	answers *connect.ErrorWriter
	ready   chan struct{} // closed once there is a handler
	handler http.Handler
	late    <-chan struct{}
}

// NewLater makes a handler that has nothing yet. why is a public text.
func NewLater(why string) *Later {
	late := make(chan struct{})
	time.AfterFunc(firstTime, func() { close(late) })
	return &Later{why: why, answers: connect.NewErrorWriter(), ready: make(chan struct{}), late: late}
}

// Set has all calls from now on served by h. It is called once.
func (l *Later) Set(h http.Handler) {
	l.handler = h
	close(l.ready)
}

// ServeHTTP implements [http.Handler].
func (l *Later) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-l.ready:
		l.handler.ServeHTTP(w, r)
		return
	case <-l.late:
	case <-r.Context().Done():
	}
	select {
	case <-l.ready: // for long
		l.handler.ServeHTTP(w, r)
	default:
		// Of a caller that has gone away nobody needs to know.
		_ = l.answers.Write(w, r, ToConnect(fault.New(fault.Unavailable, "%s; try again", l.why)))
	}
}

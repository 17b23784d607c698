// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import "mailpush.internal/services/listener-worker/internal/transport"

// Signal is what came of a request, as far as the origin is concerned.
type Signal int

// The signals. This table and [SignalOf] are the one place that says what counts as the
// origin's failure and what as an endpoint's.
const (
	// Works means that something was accepted: the origin is in order.
	Works Signal = iota
	// Unreached means that no connection was made: the name is not found, the host
	// refuses or does not answer, TLS fails, the certificate is wrong. All endpoints of
	// an origin share name, port and certificate, so that this is the origin's failure.
	Unreached
	// Fails means that the origin was reached and did no good: 5xx, 408 and the like, or
	// no answer in time. It may be the endpoint or what is in front of all of them: it
	// counts against the origin when several endpoints fail so, of which nobody has
	// proved that they fail by themselves.
	Fails
	// Own means that the endpoint speaks for itself: 401, 403, 404, 410, other 4xx, a
	// redirect, or any answer with Retry-After. It says nothing about its neighbours,
	// but that the origin is there.
	Own
	// Nothing means that no request went to the origin: it says nothing at all.
	Nothing
)

// SignalOf judges the result of a request.
func SignalOf(result transport.Result) Signal {
	switch {
	case result.Class == transport.OK:
		return Works
	case result.Unreached:
		return Unreached
	case result.Class == transport.Retry && result.After == 0:
		return Fails
	case result.Unanswered:
		return Nothing
	}
	return Own
}

// answers tells whether the origin was there to answer.
func (s Signal) answers() bool { return s == Works || s == Fails || s == Own }

// Suspicious tells whether the origin may be at fault when so many of its endpoints fail
// of which nobody knows that they do so by themselves. One that is alone there has its own
// back-off, and needs no breaker.
func Suspicious(failing, endpoints int) bool {
	const several = 3
	return endpoints > 1 && failing >= min(several, endpoints)
}

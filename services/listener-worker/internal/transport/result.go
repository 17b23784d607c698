// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import "time"

// Result is what came of a request to an endpoint.
type Result struct {
	// Class says what it means for what was sent.
	Class Class
	// After is how long to stay away at least; zero when the endpoint did not say.
	After time.Duration
	// Detail is what was answered, for people; it holds no secret and no address.
	Detail string
	// Final is true when an endpoint that is gone says that it is so for good, and not only
	// that there is nothing where it was asked for.
	Final bool
	// Unanswered is true when no answer came at all: it may be the origin that is at
	// fault, not the endpoint.
	Unanswered bool
	// Unreached is true when there was no connection to send anything by: what every
	// endpoint of the origin would have met.
	Unreached bool
	// Unmade is true when no request was made, for what is not the endpoint's doing: it
	// says nothing about it.
	Unmade bool
}

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
	// Unanswered is true when no answer came at all: it may be the origin that is at
	// fault, not the endpoint.
	Unanswered bool
	// Unmade is true when no request was made, for what is not the endpoint's doing: it
	// says nothing about it.
	Unmade bool
}

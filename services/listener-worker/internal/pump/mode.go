// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import "time"

// Mode says how mails become pushes.
type Mode int

// The modes.
const (
	// ModeBatch pushes every mail, as many in one push as fit.
	ModeBatch Mode = iota
	// ModeLatest pushes once for all that is new: the newest mail and the count.
	ModeLatest
	// ModeEach pushes every mail in a push of its own, and gathers nothing.
	ModeEach
)

// Options is what a pump knows of its subscription when it is made.
type Options struct {
	Mode Mode
	// Confirmed is true when the endpoint has said that it wants pushes. Until then
	// it is asked with a ping, and nothing is sent.
	Confirmed bool
	// FailingSince is since when the endpoint is known to fail; zero when it is not.
	FailingSince time.Time
}

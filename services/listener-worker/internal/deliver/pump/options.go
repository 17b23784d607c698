// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"cmp"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// Options is what a pump knows of its subscription when it is made.
type Options struct {
	// Mode says how mails become pushes; unspecified, as many in one push as fit.
	Mode mailv1.Mode
	// Confirmed is true when the endpoint has said that it wants pushes. Until then
	// it is asked with a ping, and nothing is sent.
	Confirmed bool
	// FailingSince is since when the endpoint is known to fail; zero when it is not.
	FailingSince time.Time
	// Absence is the run of answers of which is known that the endpoint was not there; zero
	// when it was.
	Absence Absence
}

// modeOf fills in what is meant where no mode is said.
func modeOf(mode mailv1.Mode) mailv1.Mode {
	return cmp.Or(mode, mailv1.Mode_MODE_BATCH)
}

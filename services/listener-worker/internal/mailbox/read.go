// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

import "time"

// MaxMails is how many mails are read of a folder at once, at most.
const MaxMails = 100

// Detail is how much of each mail is read. What does not say reads all: that costs bytes,
// and never a sender.
type Detail uint8

// The details, the most first.
const (
	// Envelopes reads all that a push may say of a mail.
	Envelopes Detail = iota
	// UIDs reads which mails there are, and nothing of them.
	UIDs
)

// Serves tells whether who wants another detail can do with this one.
func (d Detail) Serves(other Detail) bool { return d <= other }

// With is the least detail that serves both.
func (d Detail) With(other Detail) Detail { return min(d, other) }

// Range is what to read of a folder.
type Range struct {
	// From and Upto are the first and the last UID.
	From, Upto uint32
	// Detail is how much of each mail to read; more may be.
	Detail Detail
	// Most is how many mails to read; MaxMails when it is zero.
	Most int
	// Gone says that mails up to this UID are gone when they are not shown.
	Gone uint32
	// Known says that mails up to this UID are taken as far as they can be read.
	Known uint32
	// Skip is a mail that is taken without being asked for, with nothing but its UID; 0
	// for none. Nothing behind it is read.
	Skip uint32
}

// Reading is what was read of a range.
type Reading struct {
	// Mails are the mails up to Upto, by ascending UID.
	Mails []Mail
	// Upto is the last UID that was covered. It may be lower than the one asked for, and
	// in doubt lower than the first.
	Upto uint32
	// Gap is about the mail behind Upto.
	Gap Gap
}

// Gap is why a range was not read to its end.
type Gap uint8

// The gaps.
const (
	// NoGap means that the range was read, or that there was no room for more.
	NoGap Gap = iota
	// Absent means that a mail may be there, and is not shown.
	Absent
	// Damaged means that a mail is there, and cannot be read.
	Damaged
)

// Checkup is what became known by a look at a folder.
type Checkup struct {
	// End is where it ends.
	End End
	// Noticed is when the mail store spoke of a change while it was made to look; zero
	// when it did not.
	Noticed time.Time
	// Unsure tells that the mail store counts mails that End has no room for: it is worth
	// looking again soon.
	Unsure bool
}

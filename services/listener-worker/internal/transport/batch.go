// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Batch is what one request announces: mails, or that the mailbox was renumbered.
type Batch struct {
	// Reset is true when the mailbox was renumbered: all earlier UIDs are void.
	Reset bool
	// UIDValidity is the numbering of the UIDs.
	UIDValidity uint32
	// From and Upto are the range of UIDs the batch covers, both ends included.
	From, Upto uint32
	// Mails are ascending by UID; none for a reset, the newest alone where all that is
	// new becomes one push.
	Mails []mailbox.Mail
	// Count is how many mails the range holds.
	Count int
	// Unread counts the folder's mails without \Seen.
	Unread uint32
	// Noticed is when the oldest of the mails was noticed.
	Noticed time.Time
	// Attempt is 1 for the first try.
	Attempt int
}

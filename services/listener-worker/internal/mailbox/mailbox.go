// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package mailbox has the words in which the halls of a worker speak of mailboxes: whose
// one is, where its folders end, what is in them, and how far somebody has come there.
// Invariant: it holds words alone. It imports nothing of ours but pkg, and does nothing.
package mailbox

import "time"

// Inbox is the folder that is watched (RFC 9051 section 5.1).
const Inbox = "INBOX"

// User names the owner of a mailbox.
type User struct {
	// Context is the tenant the user belongs to.
	Context string
	// ID is the user inside the tenant.
	ID string
}

// End is where a folder ends, as a mail store told it in one answer.
type End struct {
	// Folder is the folder's name.
	Folder string
	// UIDValidity says whether UIDs of two answers can be compared (RFC 9051 section
	// 2.3.1.1).
	UIDValidity uint32
	// UIDNext is above the UID of every mail in the folder.
	UIDNext uint32
	// Unseen counts the mails without \Seen.
	Unseen uint32
}

// Hint says that a folder may have changed. It may be wrong, late or lost: what is true
// is what a look at the folder shows.
type Hint struct {
	// Folder is the folder's name.
	Folder string
	// UIDValidity and UID name the newest mail that the hint speaks of; zero when it
	// names none.
	UIDValidity, UID uint32
	// At is when the hint arrived.
	At time.Time
	// Mail is the newest mail as the hint tells it; nil when it tells none.
	Mail *Mail
	// Unseen counts the mails without \Seen, where Mail is told.
	Unseen uint32
}

// Merge is what two hints about a folder say together, h being the earlier one. Of two
// mails it tells none: who looks finds both.
func (h Hint) Merge(later Hint) Hint {
	if h.UIDValidity == later.UIDValidity && h.UID == later.UID {
		if h.Mail == nil {
			h.Mail, h.Unseen = later.Mail, later.Unseen
		}
		return h
	}
	h.Mail, h.Unseen = nil, 0
	if h.UIDValidity != later.UIDValidity || h.UID == 0 || later.UID == 0 {
		h.UIDValidity, h.UID = 0, 0
		return h
	}
	h.UID = max(h.UID, later.UID)
	return h
}

// SizeUnknown is the size of a mail that was told of and not read.
const SizeUnknown = -1

// Mail is what a push may say of one mail.
type Mail struct {
	// UID is the mail's UID in its folder.
	UID uint32
	// From is the first sender, `Name <local@host>`, with RFC 2047 words decoded.
	From string
	// Subject is the subject with RFC 2047 words decoded.
	Subject string
	// ReceivedAt is when the mail store took the mail (INTERNALDATE); zero when it does
	// not say.
	ReceivedAt time.Time
	// Size is the mail's size in bytes; SizeUnknown where nobody has read it.
	Size int64
}

// Read is what was read of a folder: all mails of one range of UIDs.
type Read struct {
	// User is whose mailbox was read.
	User User
	// End is where the folder ended when it was last looked at.
	End End
	// From and Upto are the first and the last UID covered: every mail in between that
	// still exists is in Mails. Upto is below From when there was nothing to read.
	From, Upto uint32
	// Mails are the mails found, by ascending UID.
	Mails []Mail
	// Detail is how much was read of each.
	Detail Detail
	// Err tells that nothing was read. It is worth asking again when the folder shows
	// itself next.
	Err error
}

// Cursor is how far a subscription has been served in a folder.
type Cursor struct {
	// UIDValidity is the numbering the UID belongs to; zero: the cursor is not set.
	UIDValidity uint32
	// UID is the last one served.
	UID uint32
}

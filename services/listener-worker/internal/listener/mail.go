// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listener

import "time"

// Folder is the folder a listener watches.
const Folder = "INBOX"

// Box is where a folder ends, as the mail store told it in one answer.
type Box struct {
	// Folder is the folder's name.
	Folder string
	// UIDValidity says whether UIDs of two answers can be compared (RFC 9051 section 2.3.1.1).
	UIDValidity uint32
	// UIDNext is above the UID of every mail in the folder.
	UIDNext uint32
	// Unseen counts the mails without \Seen.
	Unseen uint32
}

// Mail is what a push may say of one mail.
type Mail struct {
	// UID is the mail's UID in its folder.
	UID uint32
	// From is the first sender, `Name <local@host>`, with RFC 2047 words decoded.
	From string
	// Subject is the subject with RFC 2047 words decoded.
	Subject string
	// ReceivedAt is when the mail store took the mail (INTERNALDATE).
	ReceivedAt time.Time
	// Size is the mail's size in bytes.
	Size int64
}

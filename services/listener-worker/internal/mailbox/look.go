// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

// Look is how a mail store is asked where a folder ends.
type Look uint8

// The looks.
const (
	// Ask takes what the mail store knows, for it has just spoken.
	Ask Look = iota
	// Sync has it look at the folder first (NOOP), for when it did not speak by itself.
	Sync
	// Reopen has it open the folder again first (EXAMINE).
	Reopen
)

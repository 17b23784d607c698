// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"slices"
	"sync/atomic"
)

// host is what was learned about a mail store from its answers, shared by all its
// connections. Each fact is a guess that later answers may mend.
type host struct {
	dropsPipelines atomic.Bool   // it has dropped commands that came along with DONE
	plainWorks     atomic.Bool   // it has taken a login by PLAIN
	plainBroken    atomic.Bool   // it has taken a login by LOGIN that it refused by PLAIN
	wantsID        atomic.Bool   // it opens folders after ID only
	wantsSelect    atomic.Bool   // it does not know EXAMINE
	shown          atomic.Uint32 // the kinds of odd responses that were logged
	showsNewMail   atomic.Bool   // new mail has shown itself in a folder opened by EXAMINE
}

// takesPipelines tells whether commands may go along with DONE, as they may until the mail
// store has dropped some. What that costs is one late look for all its mailboxes.
func (h *host) takesPipelines() bool { return !h.dropsPipelines.Load() }

// learnPipelines looks at how commands ended that went along with DONE.
func (h *host) learnPipelines(commands []*command) {
	if slices.ContainsFunc(commands, func(cmd *command) bool { return cmd.again }) {
		h.dropsPipelines.Store(true)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import "sync/atomic"

// host is what was learned about a mail store from its answers, shared by all its
// connections. Each fact is a guess that later answers may mend.
type host struct {
	pipelines    atomic.Int32  // whether it takes commands that come along with DONE
	plainWorks   atomic.Bool   // it has taken a login by PLAIN
	plainBroken  atomic.Bool   // it has taken a login by LOGIN that it refused by PLAIN
	wantsID      atomic.Bool   // it opens folders after ID only
	wantsSelect  atomic.Bool   // it does not know EXAMINE
	shown        atomic.Uint32 // the kinds of odd responses that were logged
	showsNewMail atomic.Bool   // new mail has shown itself in a folder opened by EXAMINE
}

const (
	pipelinesUnknown int32 = iota
	pipelinesTaken
	pipelinesDropped
)

// takesPipelines tells whether commands may go along with DONE; try says that it may be
// found out now.
func (h *host) takesPipelines(try bool) bool {
	known := h.pipelines.Load()
	return known == pipelinesTaken || known == pipelinesUnknown && try
}

// learnPipelines looks at how commands ended that went along with DONE.
func (h *host) learnPipelines(commands []*command) {
	for _, cmd := range commands {
		if cmd.again {
			h.pipelines.Store(pipelinesDropped)
			return
		}
		if cmd.first != 0 {
			return // it was only slow
		}
	}
	h.pipelines.Store(pipelinesTaken)
}

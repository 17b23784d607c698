// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"mailpush.internal/pkg/userid"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Effect is something a worker is to do.
type Effect interface{ effect() }

type (
	// Read opens the epochs of the claims at the registry if Open is set, then reads
	// their mailboxes, all of one backend. Loaded is its answer.
	Read struct {
		Backend  string
		Open     bool
		Failures int // of the same claims before
		Claims   []Claim
		Users    []userid.User // those to be read; empty means all of the claims' shards
	}
	// Run starts the listeners of what was just read of the claims, or brings them up
	// to date. It comes with the Loaded that brought what was read: of a Read that named
	// users it is about these alone.
	Run struct{ Claims []Claim }
	// Release stops the listeners of the claims and lets requests in flight end and
	// cursors be stored. Drained is its answer.
	Release struct{ Claims []Claim }
	// Cut stops everything of the claims at once.
	Cut struct{ Claims []Claim }
	// Report stores what the worker runs. Reported is its answer.
	Report struct{ Have *clusterv1.Have }
	// Began tells that from now on the claims are held. Nothing runs for them yet, or the right
	// to act was in doubt.
	Began struct{ Claims []Claim }
	// Ended tells that the claims are held no more. Nothing runs for them, or the right to act
	// is in doubt, and has been so since its fence.
	Ended struct{ Claims []Claim }
)

func (Read) effect()    {}
func (Run) effect()     {}
func (Release) effect() {}
func (Cut) effect()     {}
func (Report) effect()  {}
func (Began) effect()   {}
func (Ended) effect()   {}

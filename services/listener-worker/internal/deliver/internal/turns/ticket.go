// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// Waiter is who waits for turns, again and again: it embeds a [Ticket].
type Waiter interface{ ticket() *Ticket }

// Ticket is what turns know of a waiter. The zero value waits for nothing.
type Ticket struct {
	queue   *queue                // where it waits for a turn or has got it
	waits   *fifo.Element[Waiter] // in the queue, nil when it does not wait
	hasTurn bool
	reading bool // the turn takes a permit at the store

	at      *destination          // where its request has a permit or waits for one
	request *fifo.Element[Waiter] // in the requests there, nil when it does not wait
}

func (k *Ticket) ticket() *Ticket { return k }

// Queued tells whether the waiter waits for a turn.
func (k *Ticket) Queued() bool { return k.waits != nil }

// RequestedAt is the origin where the waiter's request has a permit, nil when it has none.
func (k *Ticket) RequestedAt() *origins.Origin {
	if k.at == nil {
		return nil
	}
	return k.at.origin
}

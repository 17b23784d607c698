// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"

// Waiter is who waits for turns, again and again: it embeds a Ticket.
type Waiter interface{ ticket() *Ticket }

// Ticket is what turns know of a waiter. The zero value has joined no origin.
type Ticket struct {
	origin *Origin               // where its endpoint is
	ailing *fifo.Element[Waiter] // in the origin's ailing, nil when it does not ail

	queue   *queue                // where it waits for a turn or has got it
	place   *fifo.Element[Waiter] // in the queue, nil when it does not wait
	hasTurn bool
	reading bool // the turn takes room at the store

	at      *Origin               // where its request has room or waits for it
	request *fifo.Element[Waiter] // in the requests there, nil when it does not wait
}

func (k *Ticket) ticket() *Ticket { return k }

// Origin is the origin that the waiter has joined, nil when it has left.
func (k *Ticket) Origin() *Origin { return k.origin }

// ail notes whether the last request of the ticket's waiter failed as if its origin
// were out of order.
func (k *Ticket) ail(w Waiter, ails bool) {
	switch {
	case ails && k.ailing == nil:
		k.ailing = k.origin.ailing.Push(w)
	case !ails && k.ailing != nil:
		k.origin.ailing.Remove(k.ailing)
		k.ailing = nil
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// Member is who has an endpoint: it embeds an [Endpoint].
type Member interface {
	// Oldest is when the oldest mail was noticed that the endpoint is to be told of, and
	// whether there is anything to tell or to ask it.
	Oldest() (at moment.Moment, waits bool)
	endpoint() *Endpoint
}

// Endpoint is what is known of one endpoint. The zero value is at no origin. There is one
// for every subscription, and most are well: it is kept small.
type Endpoint struct {
	origin  *Origin
	trouble *trouble // nil while there is none
}

// trouble is what is known of an endpoint that fails, or whose origin does.
type trouble struct {
	fails, line             *fifo.List[Member] // of the origin, where it is; nil for none
	inFails, inLine, inRoom *fifo.Element[Member]

	round   uint32 // of the origin, in which it was tried last
	works   uint32 // the origin's, when the endpoint began to fail
	own     bool   // it went on to fail after another one was accepted: it fails by itself
	probing bool   // it is out to see whether the origin works
	pressed bool   // it is tried whatever is known of the origin
}

func (e *Endpoint) endpoint() *Endpoint { return e }

// Origin is where the endpoint is, nil when it has left.
func (e *Endpoint) Origin() *Origin { return e.origin }

// Awaits tells whether it waits for its origin.
func (e *Endpoint) Awaits() bool { return e.trouble != nil && e.trouble.inRoom != nil }

// Held tells whether what the endpoint is to be told of waits for its origin: in its room, or
// after a failure that may be the origin's.
func (e *Endpoint) Held() bool {
	t := e.trouble
	return t != nil && (t.inRoom != nil || t.fails != nil && !t.own && e.origin.State() != Closed)
}

// Admitted tells whether a request to it may be prepared and made.
func (e *Endpoint) Admitted() bool {
	return e.origin.State() == Closed || e.trouble != nil && (e.trouble.probing || e.trouble.pressed)
}

// Settle takes in that what it was pressed for has been tried.
func (e *Endpoint) Settle() {
	if e.trouble != nil {
		e.trouble.pressed = false
	}
}

// troubled is the endpoint's trouble, for more to be noted.
func (e *Endpoint) troubled() *trouble {
	if e.trouble == nil {
		e.trouble = &trouble{round: e.origin.round - 1}
	}
	return e.trouble
}

// heard takes in what came of the endpoint's last request at its origin.
func (e *Endpoint) heard(m Member, signal Signal) {
	o := e.origin
	if signal != Fails && signal != Unreached {
		if t := e.trouble; t != nil {
			t.own = false
			t.list(m, nil)
		}
		return
	}
	t := e.troubled()
	if t.fails == nil {
		t.works = o.works
	}
	switch {
	case signal == Unreached:
		t.list(m, &o.unreached)
	case t.own || t.works != o.works: // the origin works for others meanwhile
		t.own = true
		t.list(m, &o.own)
	default:
		t.list(m, &o.suspects)
	}
}

// list moves the endpoint to one of the lists of those that fail, or out of all.
func (t *trouble) list(m Member, list *fifo.List[Member]) {
	if t.fails == list {
		return
	}
	if t.fails != nil {
		t.fails.Remove(t.inFails)
		t.inFails = nil
	}
	if t.fails = list; list != nil {
		t.inFails = list.Push(m)
	}
}

// queue puts it into the line of those that are tried next, unless it has been tried in
// this round. Who is known to fail by itself comes last.
func (t *trouble) queue(m Member, o *Origin) {
	if t.line != nil || t.probing || t.round == o.round {
		return
	}
	t.line = &o.line
	if t.own {
		t.line = &o.last
	}
	t.inLine = t.line.Push(m)
}

// unqueue takes it out of the line.
func (t *trouble) unqueue() {
	if t.line != nil {
		t.line.Remove(t.inLine)
		t.line, t.inLine = nil, nil
	}
}

// unplace takes it out of the room and out of the line.
func (t *trouble) unplace(o *Origin) {
	if t.inRoom != nil {
		o.room.Remove(t.inRoom)
		t.inRoom = nil
	}
	t.unqueue()
}

// unprobe takes in that it is not out as a probe any more.
func (t *trouble) unprobe(o *Origin) {
	if t.probing {
		t.probing = false
		o.look.out--
	}
}

// relieve forgets trouble that is over.
func (e *Endpoint) relieve() {
	if t := e.trouble; t != nil && t.fails == nil && t.inRoom == nil && t.line == nil && !t.probing && !t.pressed && e.origin.State() == Closed {
		e.trouble = nil
	}
}

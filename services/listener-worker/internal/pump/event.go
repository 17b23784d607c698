// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import "time"

// Event is something a pump is told: Head, Turn, Fetched, Sent, Tick or Renewed.
type Event interface{ event() }

// Head says where the folder ends now.
type Head struct {
	UIDValidity uint32
	UIDNext     uint32 // zero: the server did not say, and the event is ignored
	Unread      uint32
	Noticed     time.Time
}

// Turn answers Ready: the pump may read and send one batch.
type Turn struct{}

// Fetched answers Fetch with every mail of [From, Upto], or tells that nothing could
// be read. A pump takes what covers its next UID, whoever asked for it, and asks
// again when it does not.
type Fetched struct {
	Head       Head
	From, Upto uint32
	Mails      []Mail
	Failed     bool
}

// Sent answers Send.
type Sent struct{ Result Result }

// Result is the answer of an endpoint.
type Result struct {
	Class Class
	After time.Duration // no earlier than this; zero when not said
	// Detail is what was answered, for people; it holds no secret and no URL.
	Detail string
}

// Tick says that the time of the last Wait has come.
type Tick struct{}

// Renewed says that the subscription's endpoint or secret was replaced: what was
// learned about the old one does not count.
type Renewed struct{}

func (Head) event()    {}
func (Turn) event()    {}
func (Fetched) event() {}
func (Sent) event()    {}
func (Tick) event()    {}
func (Renewed) event() {}

// Effect is something a pump wants done: Ready, Fetch, Send, Commit, Done or Wait.
type Effect interface{ effect() }

// Ready asks for a Turn: there is something to send.
type Ready struct{}

// Fetch asks for the mails from a UID on.
type Fetch struct{ From uint32 }

// Send asks for one request to the endpoint.
type Send struct{ Batch Batch }

// Commit says that the cursor has moved and wants storing.
type Commit struct{ Cursor Cursor }

// Done gives the Turn back.
type Done struct{}

// Wait asks for a Tick, replacing any earlier one.
type Wait struct{ Until time.Time }

func (Ready) effect()  {}
func (Fetch) effect()  {}
func (Send) effect()   {}
func (Commit) effect() {}
func (Done) effect()   {}
func (Wait) effect()   {}

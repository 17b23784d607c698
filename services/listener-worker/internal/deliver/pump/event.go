// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Event is something a pump is told: Head, Turn, Fetched, Sent, Pinged, Postponed, Tick,
// Awake, Barred or Renewed.
type Event interface{ event() }

// Head says where the folder ends now.
type Head struct {
	UIDValidity uint32
	UIDNext     uint32 // zero: the server did not say, and the event is ignored
	Unread      uint32
	Noticed     time.Time
	// Stale is true when the folder was looked at before the pump's cursor was read:
	// a cursor ahead of it means nothing.
	Stale bool
}

// Turn answers Ready: the pump may read and send one batch.
type Turn struct{}

// Fetched answers Fetch with every mail of [From, Upto], or tells that nothing could
// be read. A pump takes what covers its next UID, whoever asked for it, and asks
// again when it does not.
type Fetched struct {
	Head       Head
	From, Upto uint32
	Mails      []mailbox.Mail
	Failed     bool
}

// Sent answers Send.
type Sent struct{ Result transport.Result }

// Pinged answers Ping.
type Pinged struct{ Result transport.Result }

// Postponed answers Send or Ping: the request was not made, for the origin has to be
// left alone. Another Turn will come.
type Postponed struct{}

// Tick says that the time of the last Wait has come.
type Tick struct{}

// Awake says that the origin of the endpoint works again: who stays away because of
// the endpoint's failures tries now.
type Awake struct{}

// Barred says that the endpoint's origin fails whoever asks: a pump that waits for its
// turn has been waiting for that, and so its endpoint fails, too.
type Barred struct{ Reason string }

// Renewed says that the subscription's URL, secret or mode was replaced or that it was
// enabled: what was learned about the endpoint before does not count.
type Renewed struct {
	Mode      mailv1.Mode
	Confirmed bool // see Options
}

func (Head) event()      {}
func (Turn) event()      {}
func (Fetched) event()   {}
func (Sent) event()      {}
func (Pinged) event()    {}
func (Postponed) event() {}
func (Tick) event()      {}
func (Awake) event()     {}
func (Barred) event()    {}
func (Renewed) event()   {}

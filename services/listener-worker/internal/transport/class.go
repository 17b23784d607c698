// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

// Class says what the answer of an endpoint means for what was sent. Each transport
// has one table from its own answers to these.
type Class int

// The classes.
const (
	// OK means accepted: the cursor may move.
	OK Class = iota
	// Retry means not now: try again, no earlier than the result's After.
	Retry
	// PermanentItem means the endpoint will never take this batch.
	PermanentItem
	// Gone means the endpoint exists no more.
	Gone
	// Auth means our signature or keys are refused. It says nothing about the
	// subscription and never ends it.
	Auth
	// Misconfigured means the endpoint cannot be used as it stands: it redirects, its
	// certificate is wrong, its URL is refused.
	Misconfigured
)

// String is the class as a metric label.
func (c Class) String() string {
	switch c {
	case OK:
		return "ok"
	case Retry:
		return "retry"
	case PermanentItem:
		return "permanent_item"
	case Gone:
		return "gone"
	case Auth:
		return "auth"
	case Misconfigured:
		return "misconfigured"
	default:
		return "unknown"
	}
}

// Classes lists every class.
func Classes() []Class { return []Class{OK, Retry, PermanentItem, Gone, Auth, Misconfigured} }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import "mailpush.internal/pkg/secret"

// Headers are what a subscriber wants every request to the endpoint to carry. Nil means
// nothing.
type Headers struct {
	// Origin is what they were given for, as [Transport.Origin] names it. They are sent to
	// no other.
	Origin string
	// List has the headers, whose names are of a form that can be sent.
	List []Header
}

// Header is one of them.
type Header struct {
	Name  string
	Value secret.String
}

// For are the headers that may be sent to an origin.
func (h *Headers) For(origin string) []Header {
	if h == nil || h.Origin != origin {
		return nil
	}
	return h.List
}

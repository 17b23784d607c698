// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

import "mailpush.internal/pkg/secret"

// Login is what opens one mailbox, held only while logging in.
type Login struct {
	// AuthorizationID is the user to act for when Username is another one, such as
	// a master user; empty when it is the same (RFC 4616).
	AuthorizationID string
	// Username is whose password it is.
	Username string
	// Password is the clear-text password.
	Password secret.String
	// Version is the version of the stored credential.
	Version uint64
}

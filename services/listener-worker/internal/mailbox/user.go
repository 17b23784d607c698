// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

import "mailpush.internal/pkg/userid"

// String writes the user as user@context; see [userid.Join].
func (u User) String() string { return userid.Join(u.ID, u.Context) }

// ParseUser reads what String writes. Other text may look like it: a login at a mail
// store is often an address.
func ParseUser(text string) (User, bool) {
	user, context, ok := userid.Split(text)
	return User{Context: context, ID: user}, ok
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"

// UserOf reads a user from a message.
func UserOf(m *mailv1.User) UserID {
	return UserID{Context: m.GetContextId(), User: m.GetUserId()}
}

// Wire is the user as a message.
func (u UserID) Wire() *mailv1.User {
	return &mailv1.User{ContextId: u.Context, UserId: u.User}
}

// CursorOf reads a cursor from a message.
func CursorOf(m *mailv1.Cursor) Cursor {
	return Cursor{Folder: m.GetFolder(), UIDValidity: m.GetUidValidity(), UID: m.GetUid()}
}

// Wire is the cursor as a message.
func (c Cursor) Wire() *mailv1.Cursor {
	return &mailv1.Cursor{Folder: c.Folder, UidValidity: c.UIDValidity, Uid: c.UID}
}

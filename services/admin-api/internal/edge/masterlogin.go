// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/decide"
)

// masterLogin is the login that the master user is to open for a request: the one it
// brings, else the one of the user.
func (e *Edge) masterLogin(r Request) string {
	own, _ := decide.OwnLogin(e.MasterLogins[r.Account.Store], r.User) // checked before
	return cmp.Or(r.Account.Login, own)
}

// checkMasterLogin refuses another login than the user's own, and one that may be
// another user's own as well. The master user, and
// doveadm, open every mailbox, so nothing else keeps a caller that may act for some contexts from the
// mailboxes of others.
func (e *Edge) checkMasterLogin(r Request) error {
	own, ok := decide.OwnLogin(e.MasterLogins[r.Account.Store], r.User)
	switch {
	case r.AnyLogin && r.Account.Login != "":
		return nil
	case !ok:
		return fault.Field("contextId", "%s", decide.Ambiguous(r.Account.Store))
	case r.Account.Login == "" || r.Account.Login == own:
		return nil
	}
	return fault.New(fault.Denied,
		"account.login: only an administrator may name a login that is opened without its password; the user's own is %q and may be left out", own)
}

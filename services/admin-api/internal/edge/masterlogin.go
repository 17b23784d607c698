// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"strings"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// masterLogin is the login that the master user is to open for a request: the one it
// brings, else the one of the user.
func (e *Edge) masterLogin(r Request) string {
	return cmp.Or(r.Account.Login, ownLogin(e.MasterLogins[r.Account.Store], r.User))
}

// checkMasterLogin refuses another login than the user's own. The master user opens
// every mailbox, so nothing else keeps a caller that may act for some contexts from the
// mailboxes of others.
func (e *Edge) checkMasterLogin(r Request) error {
	own := ownLogin(e.MasterLogins[r.Account.Store], r.User)
	if r.AnyLogin || e.masterLogin(r) == own {
		return nil
	}
	return fault.New(fault.Denied,
		"account.login: only an administrator may name a login for the master user; the user's own is %q and may be left out", own)
}

// ownLogin is the user's login by the operator's template.
func ownLogin(template string, u registry.UserID) string {
	return strings.NewReplacer("{user}", u.User, "{context}", u.Context).Replace(template)
}

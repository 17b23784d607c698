// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"fmt"

	"mailpush.internal/pkg/userid"
	"mailpush.internal/services/admin-api/internal/registry"
)

// OwnLogin is what the mail store calls a user by the operator's rule, with {user} and
// {context} in it. Not ok where that could be another user, too.
func OwnLogin(template string, u registry.UserID) (login string, ok bool) {
	return userid.Login(template, u.User, u.Context)
}

// Ambiguous says why a user has no login by the operator's rule.
func Ambiguous(store string) string {
	return fmt.Sprintf("has a character in it that stands between user and context in the logins of mail store %q (masterLogin), "+
		"so another user could have the same login; an administrator may name one in account.login", store)
}

// ByDoveadm tells whether the user's mailbox is opened by doveadm, which takes nobody's
// login, and what the mail store calls the user there. A login in the vault that can be
// used comes first: the mail store has accepted it, and IMAP can be a second way with it.
func (p Policy) ByDoveadm(u registry.User) (login string, ok bool) {
	if !p.leftToDoveadm(u) {
		return "", false
	}
	if u.Doveadm != "" {
		return u.Doveadm, true
	}
	if login, ok = OwnLogin(p.Doveadm[u.Store], u.UserID); !ok {
		return "", false
	}
	return login, true
}

// leftToDoveadm tells whether the mailbox is doveadm's to open, if it has a name for it.
func (p Policy) leftToDoveadm(u registry.User) bool {
	return p.Doveadm[u.Store] != "" && !p.loginUsable(u.Credential) && u.Credential.State != registry.CredentialSuspended
}

// loginUsable tells whether a login is in the vault that the policy lets be used.
func (p Policy) loginUsable(c registry.Credential) bool {
	switch {
	case c.State == registry.CredentialNone, c.Kind == registry.KindDoveadm:
		return false
	case c.Kind == registry.KindMaster:
		return p.MasterUser
	default:
		return p.CredStorage
	}
}

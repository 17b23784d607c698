// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// maxAlike is how many users with the same login are told of.
const maxAlike = 100

// loginKey stands for a login, or for its part before the @: a keyed hash, so that the
// table does not list logins. Who has the whole database can still try what he guesses.
// Mail stores take logins in either case.
func loginKey(installation, login string) string {
	mac := hmac.New(sha256.New, []byte(installation))
	mac.Write([]byte(strings.ToLower(login)))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// localPart is what stands before the last @ of a login; all of it without one.
func localPart(login string) string {
	if at := strings.LastIndexByte(login, '@'); at >= 0 {
		return login[:at]
	}
	return login
}

// known is the row of a user who is found by a login, that of the credential in the row.
func (r userRow) known(installation, login string) userRow {
	r.LoginKey, r.LoginPart = loginKey(installation, login), loginKey(installation, localPart(login))
	r.LoginVersion = r.CredentialVersion
	return r
}

// FindUsers returns the users of each login, and those who have it before an @ if
// localParts is true. A login that the mail store has refused finds nobody: it may be
// somebody else's. Where doveadm opens the mailboxes there is nothing to refuse, and a
// login is the user's by the operator's rule or word.
func (s *Store) FindUsers(ctx context.Context, logins []string, localParts bool) ([][]registry.UserID, error) {
	db := s.db.WithContext(ctx)
	installation, err := installationOf(db)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(logins))
	for i, login := range logins {
		keys[i] = loginKey(installation, login)
	}
	found := make(map[string][]registry.UserID, len(keys))
	columns := []string{"login_key"}
	if localParts {
		columns = append(columns, "login_part")
	}
	for part := range slicesOf(keys) {
		for _, column := range columns {
			if err := findUsers(db, column, part, found); err != nil {
				return nil, err
			}
		}
	}
	out := make([][]registry.UserID, len(keys))
	for i, key := range keys {
		out[i] = found[key]
	}
	return out, nil
}

// findUsers adds those whose column has one of the keys to what was found under it.
func findUsers(db *gorm.DB, column string, keys []string, found map[string][]registry.UserID) error {
	var rows []struct{ ContextID, UserID, LoginKey, LoginPart string }
	err := db.Model(&userRow{}).Select("context_id, user_id, login_key, login_part").
		Where(column+" IN ? AND login_version = credential_version AND (credential_state = ? OR credential_kind = ? OR "+inSlot+")",
			keys, string(registry.CredentialStored), string(registry.KindDoveadm)).
		Order("user_key").Limit(maxAlike * len(keys)).Find(&rows).Error
	if err != nil {
		return fmt.Errorf("looking users up by their logins: %w", err)
	}
	for _, r := range rows {
		key := r.LoginKey
		if column == "login_part" {
			if key = r.LoginPart; key == r.LoginKey {
				continue // it is whole, and was found as such
			}
		}
		if len(found[key]) < maxAlike {
			found[key] = append(found[key], registry.UserID{Context: r.ContextID, User: r.UserID})
		}
	}
	return nil
}

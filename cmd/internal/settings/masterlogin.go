// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// defaultMasterLogin is what pushusers calls a user, too.
const defaultMasterLogin = "{user}@{context}"

const maxMasterLogin = 256 // with both ids in place still less than a login may have

var (
	masterLoginPattern = regexp.MustCompile(`^[^{}\s]*\{(user|context)\}([^{}\s]*)(\{(user|context)\}[^{}\s]*)?$`)
	idPattern          = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
)

// MasterLoginOrDefault is masterLogin, or what it is when it is not said.
func (s Store) MasterLoginOrDefault() string { return cmp.Or(s.MasterLogin, defaultMasterLogin) }

// validateMasterLogin refuses what would give two users one login: an application
// could then have the mailboxes of contexts that are not its own opened.
func (s *Settings) validateMasterLogin(p *problems, key string, store Store) {
	login := store.MasterLoginOrDefault()
	part := masterLoginPattern.FindStringSubmatch(login)
	switch {
	case len(part) == 0 || part[1] == part[4] || !strings.Contains(login, "{user}") || len(login) > maxMasterLogin:
		p.add(key, "%q: want {user} and {context} in it, each once, without spaces", login)
	case part[3] == "":
		s.wantEveryContext(p, key)
	case idPattern.MatchString(part[2]):
		p.add(key, "%q: want a character between {user} and {context} that no id has, such as @ or /", login)
	}
}

// wantEveryContext is for logins without a context: they are the same in every one.
func (s *Settings) wantEveryContext(p *problems, key string) {
	for _, app := range s.Admin.Applications {
		if s.Mail.PasswordSource == PasswordGlobal && !slices.Contains(app.Contexts, "*") {
			p.add(key, "without {context} it is the same in all contexts, and application %q is not for all: want {context} in it, or contexts [\"*\"]", app.Name)
		}
	}
}

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

const maxMasterLogin = 256 // with both ids in place still less than the 1,000 that a login of the rule may have

var (
	masterLoginPattern = regexp.MustCompile(`^[^{}\s]*\{(user|context)\}([^{}\s]*)(\{(user|context)\}[^{}\s]*)?$`)
	plainPattern       = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
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
		s.wantEveryContext(p, key, store)
	case plainPattern.MatchString(part[2]): // what else there is no context may have in it: see userid.Login
		p.add(key, "%q: want a character between {user} and {context} that is no letter, digit, dot, _ or -, such as @ or /", login)
	}
}

// wantEveryContext is for logins without a context: they are the same in every one.
func (s *Settings) wantEveryContext(p *problems, key string, store Store) {
	withoutPassword := s.Mail.PasswordSource == PasswordGlobal || store.Doveadm.URL != ""
	for _, app := range s.Admin.Applications {
		if withoutPassword && !slices.Contains(app.Contexts, "*") {
			p.add(key, "without {context} it is the same in all contexts, and application %q is not for all: want {context} in it, or contexts [\"*\"]", app.Name)
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"cmp"
	"slices"
	"strings"
)

// BackendIMAPIdle notices new mail by IDLE on a held connection.
const BackendIMAPIdle = "imapidle"

// Backends are the ways to notice new mail that this version has.
func Backends() []string { return []string{BackendIMAPIdle} }

// PermanentBackends says of each backend whether it may run permanent listeners.
func (s *Settings) PermanentBackends() map[string]bool {
	return map[string]bool{BackendIMAPIdle: s.IMAPIdle.SupportsPermanentListeners}
}

// BackendOrDefault is backend, or what it is when it is not said.
func (s Store) BackendOrDefault() string { return cmp.Or(s.Backend, BackendIMAPIdle) }

// backend refuses what this version does not have. The others that an Open-Xchange
// configuration may name are no typing mistakes, and told from those.
func (p *problems) backend(key, name string) {
	have := strings.Join(Backends(), ", ")
	switch {
	case slices.Contains(Backends(), name):
	case slices.Contains([]string{"dovecot", "mailnotify"}, name):
		p.add(key, "%q: this version does not have that backend yet; it has: %s", name, have)
	default:
		p.add(key, "%q: want one of: %s", name, have)
	}
}

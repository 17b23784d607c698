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

// BackendDovecot is told of new mail by Dovecot, and holds no connection.
const BackendDovecot = "dovecot"

// BackendMailNotify notices new mail by datagrams that the mail store sends.
const BackendMailNotify = "mailnotify"

// Backends are the ways to notice new mail that this version has.
func Backends() []string { return []string{BackendDovecot, BackendIMAPIdle, BackendMailNotify} }

// PermanentBackends says of each backend whether it may run permanent listeners.
func (s *Settings) PermanentBackends() map[string]bool {
	return map[string]bool{
		BackendDovecot: true, BackendIMAPIdle: s.IMAPIdle.SupportsPermanentListeners, BackendMailNotify: true,
	}
}

// BackendOrDefault is backend, or what it is when it is not said.
func (s Store) BackendOrDefault() string { return cmp.Or(s.Backend, BackendIMAPIdle) }

// backend refuses what there is not.
func (p *problems) backend(key, name string) {
	if !slices.Contains(Backends(), name) {
		p.add(key, "%q: want one of: %s", name, strings.Join(Backends(), ", "))
	}
}

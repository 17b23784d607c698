// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"maps"
	"slices"
	"strings"
)

// Policy is what the operator's configuration says about permanent listeners.
type Policy struct {
	// AllowPermanentPush is push.allowPermanentPush.
	AllowPermanentPush bool
	// AllowedClients is push.allowedClients; empty allows every client.
	AllowedClients Clients
	// CredStorage is push.credstorage.enabled: passwords may be stored.
	CredStorage bool
	// MasterUser is mail.passwordSource=global: a master user opens mailboxes.
	MasterUser bool
	// PermanentBackends says of each backend that this version has whether it may run
	// permanent listeners.
	PermanentBackends map[string]bool
	// Doveadm maps the name of each mail store whose mailboxes doveadm opens to what it
	// calls a user there, with {user} and {context} for the ids.
	Doveadm map[string]string
	// Stores maps the name of each mail store to its backend.
	Stores map[string]string
}

// StoreNames are the names of the known mail stores, ascending.
func (p Policy) StoreNames() []string { return slices.Sorted(maps.Keys(p.Stores)) }

// StoresOf are the mail stores whose new mail the backend notices, ascending.
func (p Policy) StoresOf(backend string) []string {
	return slices.DeleteFunc(p.StoreNames(), func(s string) bool { return p.Stores[s] != backend })
}

// Clients is a list of client names in which `*` stands for any characters.
type Clients []string

// Allow says whether the list names the client. An empty list names all.
func (c Clients) Allow(client string) bool {
	return len(c) == 0 || slices.ContainsFunc(c, func(p string) bool { return Match(p, client) })
}

// Match says whether the whole of s fits the pattern, in which `*` stands for any
// characters, also none. It takes at most len(pattern)*len(s) steps.
func Match(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	tail := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = after
	}
	return strings.HasSuffix(s, tail)
}

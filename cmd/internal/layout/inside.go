// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"slices"
	"strings"
)

// inside is what the internal packages of a service are: its domain, which does no I/O
// of its own, and packages that each know one technology and, of ours, the domain. Only
// the service's face puts the two together.
type inside struct{ domain, technology []string }

func services() map[string]inside {
	return map[string]inside{
		"admin-api":        {[]string{"auth", "decide", "edge", "registry"}, []string{"peers", "rpc", "store"}},
		"credential-vault": {[]string{"credential", "seal"}, []string{"rpc", "store"}},
		"listener-worker": {
			[]string{"deliver", "listen", "loop", "mailbox", "owner", "transport"},
			[]string{"imapidle", "peers", "rpc", "webhook"},
		},
		"scheduler": {[]string{"assign", "term"}, []string{"leader", "registry", "rpc"}},
	}
}

// internalOf splits the path of a service's internal package.
func internalOf(p string) (service, name string, ok bool) {
	elements := strings.Split(p, "/")
	if len(elements) < 4 || elements[0] != "services" || elements[2] != "internal" {
		return "", "", false
	}
	return elements[1], elements[3], true
}

// unnamed says that nobody has said what an internal package is; empty for all others.
func unnamed(p string) string {
	service, name, ok := internalOf(p)
	of := services()[service]
	if !ok || slices.Contains(of.domain, name) || slices.Contains(of.technology, name) {
		return ""
	}
	return "it is not said whether that is domain or technology"
}

// forbiddenInside says why an internal package may not import another one of its
// service; empty when it may.
func forbiddenInside(from, imported string) string {
	service, name, ok := internalOf(from)
	other, technology, okay := internalOf(imported)
	of := services()[service]
	switch {
	case !ok || !okay || service != other || name == technology || !slices.Contains(of.technology, technology):
		return ""
	case slices.Contains(of.technology, name):
		return "packages for a technology do not import each other"
	default:
		return "the domain knows no technology"
	}
}

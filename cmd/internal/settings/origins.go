// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"net/url"
	"regexp"
	"strings"
)

// clientPattern is what the contract lets a client be called, and *.
var clientPattern = regexp.MustCompile(`^[A-Za-z0-9._:*-]{1,128}$`)

// validateOrigins refuses origins that no browser sends (RFC 6454, section 6.2): what
// never matches would be silence in the browser's console.
func (s *Settings) validateOrigins(p *problems) {
	for i, origin := range s.Admin.AllowedOrigins {
		key := item("admin.allowedOrigins", i)
		if origin == "*" {
			continue
		}
		// One * stands for any text, such as https://*.example.com.
		u, err := url.Parse(strings.Replace(origin, "*", "x", 1))
		switch {
		case err != nil || u.Scheme == "" || u.Host == "" || u.Opaque != "" || u.User != nil:
			p.add(key, "%q: want an origin like https://mail.example.com, or *", origin)
		case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(origin, "#"):
			p.add(key, "%q: want an origin like %s://%s, with nothing after the host and port", origin, u.Scheme, hostOf(origin))
		case !isHost(u.Hostname()):
			p.add(key, "%q: its host is neither a name nor an address; international names are written with xn--, one * stands for any text", origin)
		case strings.HasSuffix(u.Host, ":") || u.Port() != "" && (!isPort(u.Port()) || strings.Trim(u.Port(), "0") == ""):
			p.add(key, "%q: want a port from 1 to %d", origin, maxPort)
		case u.Port() != "" && u.Port() == map[string]string{"http": "80", "https": "443"}[u.Scheme]:
			p.add(key, "%q: want it without the port, which browsers leave out", origin)
		}
	}
}

// hostOf is host and port as they are written.
func hostOf(origin string) string {
	_, rest, _ := strings.Cut(origin, "://")
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		rest = rest[:at]
	}
	return rest
}

// validateClients refuses patterns that no client can have.
func (s *Settings) validateClients(p *problems) {
	for i, pattern := range s.Push.AllowedClients {
		if !clientPattern.MatchString(pattern) {
			p.add(item("push.allowedClients", i), "%q: want a client's name of letters, digits and . _ : -, with * for any text", pattern)
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net"
	"net/url"
	"strings"
)

// originOf is scheme, host and port of a URL: what fails together. However it is
// written: names are the same in capitals and with a dot at the end, and the port may be
// left out. The registry counts endpoints by the same rule.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), port)
}

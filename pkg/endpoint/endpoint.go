// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package endpoint says which URLs of endpoints may be used, and which of them fail
// together because they share an origin. Who accepts a URL and who posts to it must
// agree on both.
//
// Invariants: no error quotes a URL, for its path, its query and its user info may be
// secret; every URL that [CheckURL] accepts has an [Origin], and one only, however it is
// written; an origin is text of at most 300 bytes.
package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// hostName is what Go's resolver looks up: letters, digits, hyphens and underscores, in
// labels of at most 63.
var hostName = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)

// maxHost is the longest name that DNS knows, without the dot at its end.
const maxHost = 253

// CheckURL tells whether an endpoint's URL may be used: an absolute https URL, or an
// http one where allowed, with a host that can be reached by name or address, without
// user info and without a fragment. Where the host points is not looked at: that may
// change until it is dialled.
//
// The error completes a sentence that begins with the name of the field.
func CheckURL(raw string, allowHTTP bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a URL") // err would quote it
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an absolute https URL")
	case u.Scheme == "http" && !allowHTTP:
		return errors.New("must be https; http is not allowed here")
	case u.Opaque != "" || strings.TrimSuffix(u.Hostname(), ".") == "":
		return errors.New("has no host")
	case !validHost(canonicalHost(u.Hostname())):
		return errors.New("has no valid host")
	case !validPort(u):
		return errors.New("has no valid port")
	case u.User != nil:
		return errors.New("must not carry user info")
	case strings.Contains(raw, "#"):
		return errors.New("must not carry a fragment")
	}
	return nil
}

// Origin is scheme://host:port of an endpoint's URL: what fails together, and what may
// be shown of it. All ways to write the same one come to the same text: names in small
// letters, without a dot at the end and as they are looked up (RFC 5891), addresses in
// their shortest form (RFC 5952), the port always said. It is empty for what has none.
func Origin(raw string) string {
	const longest = 255
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port, ok := portOf(u)
	if !ok {
		return ""
	}
	host := canonicalHost(u.Hostname())
	// What CheckURL refuses may hide any bytes in its host; databases take text only.
	host = strings.ToValidUTF8(host[:min(len(host), longest)], "?")
	return u.Scheme + "://" + net.JoinHostPort(host, port)
}

// canonicalHost is the host as it is looked up, or in small letters when it cannot be:
// only CheckURL, which refuses those, judges.
func canonicalHost(host string) string {
	host = strings.ToLower(host)
	if !isASCII(host) {
		// The same as net/http does. Names in ASCII are left alone: there the profile
		// refuses underscores, which private networks use.
		if ascii, err := idna.Lookup.ToASCII(host); err == nil {
			host = ascii
		}
	}
	host = strings.TrimSuffix(host, ".")
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}

// validHost expects a canonical one. A zone is refused: it names an interface of one
// machine, and the URL goes to whichever worker owns the user.
func validHost(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Zone() == ""
	}
	return len(host) <= maxHost && hostName.MatchString(host)
}

func validPort(u *url.URL) bool {
	_, ok := portOf(u)
	return ok && !strings.HasSuffix(u.Host, ":")
}

// portOf is the port of an https or http URL in its shortest form, said or not.
func portOf(u *url.URL) (port string, ok bool) {
	implied, known := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if u.Port() == "" || !known {
		return implied, known
	}
	number, err := strconv.ParseUint(u.Port(), 10, 16)
	return strconv.FormatUint(number, 10), err == nil && number > 0
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

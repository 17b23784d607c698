// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package endpoint says which URLs of endpoints may be used, how they are requested, and
// which of them fail together because they share an origin. Who accepts a URL and who
// posts to it must agree on all three.
//
// Invariants: no error quotes a URL, for its path, its query and its user info may be
// secret; every URL that [CheckURL] accepts has an [Origin], and one only, however it is
// written, and is requested at that very origin, by [Target], as one line that holds the
// same path and query; an origin is text of at most 300 bytes.
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

// endsInNumber is true of what a browser takes for an IPv4 address (WHATWG URL).
var endsInNumber = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)

// maxHost is the longest name that DNS knows, without the dot at its end.
const maxHost = 253

// CheckURL tells whether an endpoint's URL may be used: an absolute https URL, or an
// http one where allowed, with a host that can be reached by name or address, without
// user info, without a fragment, and with nothing in it that cannot be sent as it stands.
// Where the host points is not looked at: that may change until it is dialled.
//
// The error completes a sentence that begins with the name of the field.
func CheckURL(raw string, allowHTTP bool) error {
	if err := checkText(raw); err != nil {
		return err
	}
	_, err := Target(raw, allowHTTP)
	return err
}

// Target is an endpoint's URL as it is requested: at its [Origin], whatever the way the
// host is written. It also takes URLs that were accepted by earlier releases and hold what
// has to be encoded in the path or the query: it encodes that. Other errors are those of
// CheckURL.
func Target(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL") // err would quote it
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must be an absolute https URL")
	case u.Scheme == "http" && !allowHTTP:
		return nil, errors.New("must be https; http is not allowed here")
	case u.Opaque != "" || strings.TrimSuffix(u.Hostname(), ".") == "":
		return nil, errors.New("has no host")
	case !validHost(canonicalHost(u.Hostname())):
		return nil, errors.New("has no valid host")
	case !validPort(u):
		return nil, errors.New("has no valid port")
	case u.User != nil:
		return nil, errors.New("must not carry user info")
	case strings.Contains(raw, "#"):
		return nil, errors.New("must not carry a fragment")
	}
	u.Host, u.RawQuery = requestHost(u), encoded(u.RawQuery)
	return u, nil
}

// requestHost is the host of a valid URL as it is dialled and named in requests: the port
// is left out where the scheme implies it.
func requestHost(u *url.URL) string {
	host := canonicalHost(u.Hostname())
	port, _ := portOf(u)
	if port != impliedPort(u.Scheme) {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
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
// machine, and the URL goes to whichever worker owns the user. So is what ends in a number
// and is no address, such as 127.1 or 0x7f000001: some systems take it for an address, and
// others look it up.
func validHost(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Zone() == ""
	}
	return len(host) <= maxHost && hostName.MatchString(host) && !endsInNumber.MatchString(host)
}

func validPort(u *url.URL) bool {
	_, ok := portOf(u)
	return ok && !strings.HasSuffix(u.Host, ":")
}

// impliedPort is the port of a scheme; empty for one that has no endpoints.
func impliedPort(scheme string) string {
	return map[string]string{"https": "443", "http": "80"}[scheme]
}

// portOf is the port of an https or http URL in its shortest form, said or not.
func portOf(u *url.URL) (port string, ok bool) {
	implied := impliedPort(u.Scheme)
	if u.Port() == "" || implied == "" {
		return implied, implied != ""
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

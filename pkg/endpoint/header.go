// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// What a subscriber may have sent with each push.
const (
	// MaxHeaders is how many headers.
	MaxHeaders = 16
	// MaxHeaderName and MaxHeaderValue bound one of them, in bytes.
	MaxHeaderName  = 64
	MaxHeaderValue = 4096
	// MaxHeaderBytes bounds all their names and values together: servers take 8 KiB of
	// headers as a rule, and ours are among them.
	MaxHeaderBytes = 6 << 10
)

// headerName is a token of RFC 9110 section 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// reserved says of headers that nobody may set why not. Connection and those beside it
// are about one connection (RFC 9110 section 7.6.1), not about the push.
func reserved(canonical string) string {
	hop := []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
	}
	switch {
	case slices.Contains(hop, canonical):
		return "must not be set: it is about the connection"
	case canonical == "Host":
		return "must not be set: it is the host of the URL"
	case strings.HasPrefix(canonical, "Content-"):
		return "must not be set: it is about the body, which is mailpush's"
	case strings.HasPrefix(canonical, "Webhook-"):
		return "must not be set: it is of the signature"
	case canonical == "Expect", canonical == "Accept-Encoding":
		return "must not be set: it changes how a push is answered"
	}
	return ""
}

// CanonicalHeader is the one form of a header's name, however its letters are written.
func CanonicalHeader(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// CheckHeader tells whether a header may be sent with each push. No error quotes the
// value, which may be secret.
//
// The error completes a sentence that begins with the name of the field.
func CheckHeader(name, value string) error {
	switch {
	case name == "":
		return errors.New("has no name")
	case len(name) > MaxHeaderName:
		return fmt.Errorf("has a name of more than %d bytes", MaxHeaderName)
	case !headerName.MatchString(name):
		return errors.New("is no name of a header: want letters, digits and hyphens")
	}
	if why := reserved(CanonicalHeader(name)); why != "" {
		return errors.New(why)
	}
	return checkHeaderValue(value)
}

// checkHeaderValue takes what every receiver reads alike: visible ASCII, with spaces and
// tabs inside (RFC 9110 section 5.5).
func checkHeaderValue(value string) error {
	switch {
	case value == "":
		return errors.New("must not be empty")
	case len(value) > MaxHeaderValue:
		return fmt.Errorf("must be at most %d bytes", MaxHeaderValue)
	case strings.ContainsAny(value, "\r\n"):
		return errors.New("must not hold a line break")
	case strings.Trim(value, " \t") != value:
		return errors.New("must not begin or end with a space")
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c > '\x7f':
			return errors.New("must be ASCII: what receivers make of other characters differs")
		case c < ' ' && c != '\t', c == '\x7f':
			return errors.New("must not hold control characters")
		}
	}
	return nil
}

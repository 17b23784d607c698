// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// checkText refuses what cannot be sent as it stands: a request begins with one line of
// visible ASCII, in which spaces part the method, the URL and the version (RFC 9112 section
// 3). Letters beyond ASCII are fine in a host, which has a form of its own for them.
func checkText(raw string) error {
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == ' ':
			return errors.New("must not hold a space; write %20")
		case c < ' ' || c == 0x7f:
			return errors.New("must not hold a control character")
		}
	}
	if !utf8.ValidString(raw) {
		return errors.New("is not UTF-8")
	}
	if _, rest, found := strings.Cut(raw, "//"); found {
		if at := strings.IndexAny(rest, "/?#"); at >= 0 && !isASCII(rest[at:]) {
			return errors.New("must have letters beyond ASCII percent-encoded in its path and query")
		}
	}
	return nil
}

// encoded is a query in which each byte can be sent, as browsers encode it: what is not
// visible ASCII is percent-encoded, and the rest is left as it stands.
func encoded(query string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(query) {
		if c := query[i]; c > ' ' && c < 0x7f {
			out.WriteByte(c)
		} else {
			out.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return out.String()
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"encoding/base64"
	"strings"
)

// lets tells whether a LOGIN, or AUTHENTICATE PLAIN (RFC 4616), has the one login that
// is taken.
func (s *OddServer) lets(r request) bool {
	if r.name == "LOGIN" {
		name, rest := astring(r.args)
		password, _ := astring(strings.TrimPrefix(rest, " "))
		return name == s.odd.Login && password == s.odd.Password
	}
	mechanism, response, _ := strings.Cut(r.args, " ")
	plain, err := base64.StdEncoding.DecodeString(response)
	_, login, _ := strings.Cut(string(plain), "\x00")
	return err == nil && strings.EqualFold(mechanism, "PLAIN") && login == s.odd.Login+"\x00"+s.odd.Password
}

// astring reads an atom or a quoted string (RFC 9051 section 9). Literals have become
// atoms on the way here.
func astring(text string) (value, rest string) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, " ")
		return value, " " + rest
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return out.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		out.WriteByte(text[i])
	}
	return out.String(), ""
}

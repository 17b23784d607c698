// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"strings"
	"unicode/utf16"
)

// decodeUTF7 decodes UTF-7 (RFC 2152): UTF-16 in base64 between "+" and "-".
func decodeUTF7(raw []byte) string {
	var out strings.Builder
	for s := string(raw); s != ""; {
		plain, rest, found := strings.Cut(s, "+")
		out.WriteString(plainText(plain))
		if !found {
			break
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune(base64Digits, r) })
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			out.WriteByte('+')
		}
		out.WriteString(utf16Text(unpadded(rest[:end])))
		s = strings.TrimPrefix(rest[end:], "-")
	}
	return out.String()
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func utf16Text(raw []byte) string {
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	return string(utf16.Decode(units))
}

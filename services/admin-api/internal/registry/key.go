// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import "strings"

// Key is the user's place in every listing and the primary key of the users
// table: plain byte order of keys is natural order of (context, user), so that
// user 9 comes before user 10 in SQL itself and a page can start at any key.
//
// Each run of digits is written as '0', its length without leading zeros, the
// digits without leading zeros, and the number of those zeros: shorter numbers
// are smaller numbers, and no two ids share a key. '!' ends the context; it sorts
// below every character of an id.
func (u UserID) Key() string {
	var b strings.Builder
	natural(&b, u.Context)
	b.WriteByte('!')
	natural(&b, u.User)
	return b.String()
}

func natural(b *strings.Builder, id string) {
	for len(id) > 0 {
		n := digits(id)
		if n == 0 {
			b.WriteByte(id[0])
			id = id[1:]
			continue
		}
		number := strings.TrimLeft(id[:n], "0")
		b.WriteByte('0')
		b.WriteByte(count(len(number)))
		b.WriteString(number)
		b.WriteByte(count(n - len(number)))
		id = id[n:]
	}
}

// count writes a number up to 64, the longest id, as one character.
func count(n int) byte { return byte('0' + min(n, 64)) }

func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

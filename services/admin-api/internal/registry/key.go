// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"

	"mailpush.internal/pkg/userid"
)

// MaxKey is how long a [UserID.Key] is at most: two ids in which digits and others take
// turns, and what is between them.
const MaxKey = 2*5*userid.MaxLen/2 + 1

// Key is the user's place in every listing and the primary key of the users
// table: plain byte order of keys is natural order of (context, user), so that
// user 9 comes before user 10 in SQL itself and a page can start at any key.
//
// Each run of digits is written as '0', its length without leading zeros, the
// digits without leading zeros, and the number of those zeros: shorter numbers
// are smaller numbers, and no two ids share a key. '!' ends the context; it sorts
// below every character of an id, in which '"' is written for it, which no id has.
//
// Keys are stored: that of an id never changes.
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
			b.WriteByte(plain(id[0]))
			id = id[1:]
			continue
		}
		number := strings.TrimLeft(id[:n], "0")
		b.WriteByte('0')
		count(b, len(number))
		b.WriteString(number)
		count(b, n-len(number))
		id = id[n:]
	}
}

func plain(c byte) byte {
	if c == '!' {
		return '"'
	}
	return c
}

// count writes a number up to [userid.MaxLen]: as one character up to 64, the longest id
// of earlier releases, and as two from there on.
func count(b *strings.Builder, n int) {
	const one, more = 64, 64
	if n <= one {
		b.WriteByte(byte('0' + n))
		return
	}
	n = min(n, userid.MaxLen) - one - 1
	b.WriteByte(byte('0' + one + 1 + n/more))
	b.WriteByte(byte('0' + n%more))
}

func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

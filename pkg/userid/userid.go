// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package userid says what the names of contexts and users are, and how a user is written
// as one text. Invariant: no two users are written alike, and what is written is read back
// as the same user.
package userid

import "strings"

const (
	// MaxLen is how long an id may be: as long as a mail address (RFC 5321 section
	// 4.5.3.1.3, with RFC 3696 erratum 1690).
	MaxLen = 254
	// Pattern is what an id looks like, as it stands in the rules of the .proto files: what
	// a mail address may have without quotes (RFC 5322 section 3.4.1), without / * and ?.
	// Mail stores take those for paths and for patterns that fit several users, and
	// operators' lists of contexts take * so.
	Pattern = "^" + class + "{1,254}$"
	// Filter is that or nothing, where a list is narrowed to a context or a user.
	Filter = "^" + class + "{0,254}$"
	// Chars is the same in words.
	Chars = "1 to 254 characters out of A-Z a-z 0-9 and . _ - @ + = ~ ! # $ % & ' ^ ` { | }"
)

const class = "[A-Za-z0-9.!#$%&'+=^_`{|}~@-]"

// User names one user.
type User struct {
	// Context is the tenant the user belongs to.
	Context string
	// ID is the user inside the tenant.
	ID string
}

// String writes the user as user@context; see [Join].
func (u User) String() string { return Join(u.ID, u.Context) }

// Valid tells whether a text is an id of a context or of a user. Its case counts.
func Valid(id string) bool {
	for i := range len(id) {
		if !isChar(id[i]) {
			return false
		}
	}
	return 0 < len(id) && len(id) <= MaxLen
}

func isChar(c byte) bool {
	return '!' <= c && c <= '~' && !strings.ContainsRune(`"(),/:;<>*?[\]`, rune(c))
}

// Join writes a user as user@context. The @ and % of a context are written %40 and %25, so
// that the last @ of the text is the one between the two.
func Join(user, context string) string {
	if !strings.ContainsAny(context, "%@") {
		return user + "@" + context
	}
	return user + "@" + strings.NewReplacer("%", "%25", "@", "%40").Replace(context)
}

// Split reads what [Join] writes, and nothing else: it splits at the last @.
func Split(text string) (user, context string, ok bool) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return "", "", false
	}
	user, context = text[:at], text[at+1:]
	if strings.Contains(context, "%") {
		context = strings.NewReplacer("%25", "%", "%40", "@").Replace(context)
	}
	if !Valid(user) || !Valid(context) || Join(user, context) != text {
		return "", "", false
	}
	return user, context, true
}

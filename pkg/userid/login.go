// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package userid

import "strings"

const (
	inUser    = "{user}"
	inContext = "{context}"
)

// Login is what a mail store calls a user by the operator's rule, which has {user} in it
// and mostly {context}. It is not ok when a user of another context could have the same
// login: where user and context are told apart by a character that the context has in it.
// It is to be opened without a password, so nothing else would keep the two apart.
func Login(rule, user, context string) (login string, ok bool) {
	login = strings.NewReplacer(inUser, user, inContext, context).Replace(rule)
	return login, !strings.ContainsAny(context, separators(rule))
}

// separators are the characters between user and context in a rule, without those that may
// stand in ids of releases before: a rule has others beside them. As no context has any
// of them, the last one behind the user, or the first one before it, ends the context.
func separators(rule string) string {
	user, context := strings.Index(rule, inUser), strings.Index(rule, inContext)
	if user < 0 || context < 0 {
		return ""
	}
	var between string
	if user < context {
		between = rule[user+len(inUser) : context]
	} else {
		between = rule[context+len(inContext) : user]
	}
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r) {
			return -1
		}
		return r
	}, between)
}

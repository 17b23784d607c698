// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package userid_test

import (
	"math/rand/v2"
	"testing"

	"mailpush.internal/pkg/userid"
)

func TestLoginsByTheOperatorsRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, user, context, want string
		ok                        bool
	}{
		{"{user}@{context}", "249", "1", "249@1", true},
		{"{user}@{context}", "anna@example.org", "1", "anna@example.org@1", true},
		{"{user}@{context}", "anna", "b@c", "anna@b@c", false},
		{"{context}/{user}", "a@b", "c@d", "c@d/a@b", true},
		{"{context}+{user}", "a+b", "c", "c+a+b", true},
		{"{context}+{user}", "a", "c+d", "c+d+a", false},
		{"{user}@mail-{context}.example.org", "x", "y-mail-z", "x@mail-y-mail-z.example.org", true},
		{"{user}", "a@b", "c@d", "a@b", true},
		{"u.{user}@example.org", "a", "c@d", "u.a@example.org", true},
		{"{user}@{context}", "{context}", "{user}", "{context}@{user}", true},
	} {
		if got, ok := userid.Login(c.rule, c.user, c.context); got != c.want || ok != c.ok {
			t.Errorf("%s for %s of %s: %q, %v", c.rule, c.user, c.context, got, ok)
		}
	}
}

// Whoever may act for one context must not come to the mailboxes of another one by a name
// that is read in two ways.
func TestNoTwoUsersHaveTheSameLogin(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, rule := range []string{"{user}@{context}", "{context}+{user}", "{context}/{user}", "{user}@@{context}", "{user}@+{context}", "{context}-@-{user}.x"} {
		whose := make(map[string][2]string)
		for range 20_000 {
			user, context := random(r), random(r)
			login, ok := userid.Login(rule, user, context)
			if !ok {
				continue
			}
			if was, found := whose[login]; found && was != [2]string{user, context} {
				t.Fatalf("by %s %q is of %q and of %q", rule, login, was, [2]string{user, context})
			}
			whose[login] = [2]string{user, context}
		}
		if len(whose) < 1000 {
			t.Errorf("%s: only %d logins", rule, len(whose))
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"slices"

	"mailpush.internal/pkg/userid"
)

// MaxNamed is how many users a [Change] names at most: for more of them, reading the whole
// shard costs no more than finding each.
const MaxNamed = 64

// Change is of which users of a shard the registry holds something else than before. The
// zero value, which names nobody, is of any of them: whoever knows less reads more.
type Change struct{ Users []userid.User }

// Whole tells whether the change may be of any user of the shard.
func (c Change) Whole() bool { return len(c.Users) == 0 }

// Merge is both changes in one.
func (c Change) Merge(other Change) Change {
	if c.Whole() || other.Whole() {
		return Change{}
	}
	users := slices.Clone(c.Users)
	for _, user := range other.Users {
		if !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	return Change{users}.bounded()
}

// ChangeOf is the change of some users.
func ChangeOf(users ...userid.User) Change { return Change{users}.bounded() }

func (c Change) bounded() Change {
	if len(c.Users) > MaxNamed {
		return Change{}
	}
	return c
}

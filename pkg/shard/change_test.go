// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package shard_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
)

func user(n int) userid.User { return userid.User{Context: "1", ID: fmt.Sprint(n)} }

func TestChangesMergeWithoutLosingAnybody(t *testing.T) {
	t.Parallel()
	a, b := shard.ChangeOf(user(1), user(2)), shard.ChangeOf(user(2), user(3))
	if diff := cmp.Diff(shard.ChangeOf(user(1), user(2), user(3)), a.Merge(b)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(shard.ChangeOf(user(1), user(2)), a); diff != "" {
		t.Errorf("what was merged has changed:\n%s", diff)
	}
	if !a.Merge(shard.Change{}).Whole() || !(shard.Change{}).Merge(a).Whole() {
		t.Error("a whole shard shrinks to a few users")
	}
	many := a
	for n := range shard.MaxNamed {
		many = many.Merge(shard.ChangeOf(user(n)))
	}
	if many.Whole() {
		t.Errorf("%d users are not named", shard.MaxNamed)
	}
	if !many.Merge(shard.ChangeOf(user(-1))).Whole() {
		t.Errorf("more than %d users are named", shard.MaxNamed)
	}
	if !shard.ChangeOf(append(many.Users, user(-1))...).Whole() {
		t.Errorf("more than %d users are named from the start", shard.MaxNamed)
	}
}

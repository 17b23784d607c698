// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package shard_test

import (
	"strconv"
	"testing"

	"mailpush.internal/pkg/shard"
)

// The hash is written into databases: these values must never change.
func TestHashIsStable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		context, user string
		shards, want  uint32
	}{
		{"1", "249", 1024, 890},
		{"1", "402", 1024, 121},
	} {
		if got := shard.Of(c.context, c.user, c.shards); got != c.want {
			t.Errorf("Of(%s, %s, %d) = %d, want %d", c.context, c.user, c.shards, got, c.want)
		}
	}
}

func TestUsersThatAreWrittenAlikeAreTwo(t *testing.T) {
	t.Parallel()
	hashes := make(map[uint64]bool)
	users := [][2]string{
		{"a", "b@c"}, {"a@b", "c"}, {"b@c", "a"}, {"c", "a@b"}, {"a", "b!c"}, {"a!b", "c"}, {"1", "23"}, {"12", "3"}, {"A", "b"}, {"a", "B"},
	}
	for _, user := range users {
		hashes[shard.Hash(user[0], user[1])] = true
	}
	if len(hashes) != len(users) {
		t.Errorf("%d users have %d hashes", len(users), len(hashes))
	}
}

func TestDoublingSplitsInPlace(t *testing.T) {
	t.Parallel()
	for n := range 2000 {
		user := strconv.Itoa(n)
		small, large := shard.Of("1", user, 1024), shard.Of("1", user, 2048)
		if large/2 != small {
			t.Fatalf("user %s moved from shard %d of 1024 to %d of 2048", user, small, large)
		}
	}
}

func TestShardsAreEven(t *testing.T) {
	t.Parallel()
	const users, shards = 100_000, 64
	var load [shards]int
	for n := range users {
		load[shard.Of("7", strconv.Itoa(n), shards)]++
	}
	for s, got := range load {
		if mean := users / shards; got < mean*8/10 || got > mean*12/10 {
			t.Errorf("shard %d has %d users, mean %d", s, got, mean)
		}
	}
}

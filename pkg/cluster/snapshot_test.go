// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
)

func TestSnapshotNamesWhatItCannotReadAndReadsTheRest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, value, want string }{
		"another's value":   {"/worker/a", "\x08\x01\x12\x01b", `key PREFIX/worker/a: the value belongs to worker "b"`},
		"a ghost":           {"/worker/a", "\x08\x01\x12\x01a", "key PREFIX/worker/a: it has no lease, so it is not mailpush's"},
		"a later worker":    {"/worker/a", "\x08\x02\x12\x01a", "key PREFIX/worker/a: the value has format 2, this program knows formats up to 1"},
		"a key too deep":    {"/worker/a/b", "\x08\x01\x12\x01a", `key PREFIX/worker/a/b: the value belongs to worker "a"`},
		"garbage":           {"/have/a", "\xff", "key PREFIX/have/a: the value is not mailpush's"},
		"a later have":      {"/have/a", "\x08\x02", "key PREFIX/have/a: the value has format 2, this program knows formats up to 1"},
		"an empty want":     {"/want/a", "", "key PREFIX/want/a: the value is not mailpush's: it has no format version"},
		"a later format":    {"/want/a", "\x08\x02", "key PREFIX/want/a: the value has format 2, this program knows formats up to 1"},
		"shards sans epoch": {"/have/a", "\x08\x01\x1a\x03\x12\x01\x05", "key PREFIX/have/a: 1 shards with 0 epochs"},
		"a stray candidate": {"/leader/a", "a", "key PREFIX/leader/a: it has no lease, so it is not mailpush's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := fresh(t)
			client := open(t, config)
			if _, err := raw(t).Put(t.Context(), config.Prefix+c.key, c.value); err != nil {
				t.Fatal(err)
			}
			member := join(t, client)
			report(t, member)
			unread := snapshot(t, client).Unread()
			want := strings.ReplaceAll(c.want, "PREFIX", config.Prefix)
			if len(unread) != 1 || unread[0].Error() != want || fault.KindOf(unread[0]) != fault.DataLoss {
				t.Errorf("got %v, want %q", unread, want)
			}
			if got := entry(t, client, member.ID()); got.Worker == nil || got.Have == nil || got.Unread != (cluster.Unread{}) {
				t.Errorf("another worker's entry is %+v", got)
			}
		})
	}
}

// Keys that mailpush has no name for are nobody's business.
func TestUnknownKeysAreLeftAlone(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	for _, key := range []string{"", "/", "/other", "/cfg/x", "/wants", "/sessions/x"} {
		if _, err := raw(t).Put(t.Context(), config.Prefix+key, "\xff"); err != nil {
			t.Fatal(err)
		}
	}
	client := open(t, config)
	join(t, client)
	campaign(t, client, "leader")
	if read := snapshot(t, client); len(read.Entries) != 1 || len(read.Unread()) != 0 || read.Leader != "leader" {
		t.Errorf("the cluster is %+v", read)
	}
}

// A key that nobody keeps alive would be the oldest candidate for ever.
func TestStrayCandidateKeepsNobodyFromLeading(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client, etcd := open(t, config), raw(t)
	if _, err := etcd.Put(t.Context(), config.Prefix+"/leader/0", "stray"); err != nil {
		t.Fatal(err)
	}
	term := campaign(t, client, "leader")
	if got := leader(t, client); got != "leader" {
		t.Errorf("%q leads, want leader", got)
	}
	member := join(t, client)
	if err := term.Apply(t.Context(), snapshot(t, client), put(member.ID(), 1)); err != nil {
		t.Error(err)
	}
	if found, err := etcd.Get(t.Context(), config.Prefix+"/leader/0", clientv3.WithCountOnly()); err != nil || found.Count != 1 {
		t.Errorf("the stray key: %v, %v, want it left alone", found, err)
	}
}

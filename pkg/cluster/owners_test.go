// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"testing"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/shard"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// holds has a worker report what it runs of a backend.
func holds(t *testing.T, member *cluster.Member, epoch uint64, shards ...uint32) {
	t.Helper()
	set := &mailv1.ShardSet{Backend: "dovecot", Shards: shards}
	for range shards {
		set.Epochs = append(set.Epochs, epoch)
	}
	if err := member.Report(t.Context(), &clusterv1.Have{Generation: 1, Held: []*mailv1.ShardSet{set}}); err != nil {
		t.Fatal(err)
	}
}

func TestOwnersAreWhoSaysSoWithTheNewestEpoch(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	if _, err := raw(t).Put(t.Context(), config.Prefix+"/have/strange", "\xff"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	owners := client.Owners(ctx)
	of := func(number uint32) shard.ID { return shard.ID{Backend: "dovecot", Number: number} }
	if _, known := receive(t, owners, "owners").Of(of(1)); known {
		t.Error("somebody runs a shard before there is a worker")
	}
	until := func(what string, number uint32, member *cluster.Member) {
		t.Helper()
		for {
			owner, known := receive(t, owners, what).Of(of(number))
			if member == nil && !known || member != nil && known && owner.ID == member.ID() && owner.Address == "127.0.0.1:1" {
				return
			}
		}
	}
	first, second := join(t, client), join(t, client)
	holds(t, first, 5, 1, 2, 99) // there are 8 shards
	until("owner of shard 1", 1, first)
	holds(t, second, 6, 2)
	until("the newer owner of shard 2", 2, second)
	leave(t, first)
	until("nobody for shard 1", 1, nil)
	if _, known := receive(t, client.Owners(ctx), "owners").Of(shard.ID{Backend: "imapidle", Number: 2}); known {
		t.Error("a shard of another backend has the owner of this one")
	}
	cancel()
	for range owners {
	}
}

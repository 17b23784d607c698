// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/shard"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// Anybody with access to etcd can store anything: it is an error or a message whose
// readers need no further checks, and never a panic.
func FuzzDecode(f *testing.F) {
	set := &mailv1.ShardSet{Backend: "imapidle", Shards: []uint32{1}, Epochs: []uint64{2}}
	for _, message := range []proto.Message{
		&clusterv1.Worker{Format: 1, Id: "a"},
		&clusterv1.Want{Format: 1, Granted: []*mailv1.ShardSet{set}, Revoked: []*clusterv1.Revocation{{Shards: set}}},
		&clusterv1.Have{Format: 1, Held: []*mailv1.ShardSet{set}},
		&clusterv1.Have{Format: 2},
		&clusterv1.Change{Format: 1, Users: []*mailv1.User{{ContextId: "1", UserId: "249"}}},
		&clusterv1.Config{Format: 1, Shards: 8, LeaseTtlSeconds: 5, Name: "mailpush"},
	} {
		value, err := proto.Marshal(message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		_, worker := decodeWorker("key", "a", value)
		want, wantErr := decodeWant("key", value)
		have, haveErr := decodeHave("key", value)
		client := &Client{settings: new(clusterv1.Config)}
		settings := decode("key", value, client.settings)
		if settings == nil {
			settings = client.compare("key")
		}
		if n := client.settings.GetShards(); settings == nil && (n == 0 || n&(n-1) != 0) {
			t.Errorf("a cluster of %d shards", n)
		}
		change, changeErr := decodeChange("key", value)
		if changeErr != nil && !change.Whole() || len(change.Users) > shard.MaxNamed {
			t.Errorf("a change of %d users, error %v", len(change.Users), changeErr)
		}
		for _, err := range []error{worker, wantErr, haveErr, changeErr, settings} {
			if err != nil && fault.KindOf(err) != fault.DataLoss {
				t.Errorf("%v is not of kind DataLoss", err)
			}
		}
		sets := append(want.GetGranted(), have.GetHeld()...)
		for _, revoked := range want.GetRevoked() {
			sets = append(sets, revoked.GetShards())
		}
		for _, set := range sets {
			for i := range set.GetShards() {
				_ = set.GetEpochs()[i]
			}
		}
	})
}

func TestShardOfKey(t *testing.T) {
	t.Parallel()
	keys := layout("/mailpush")
	if got, err := keys.shardOf(keys.change("imapidle", 1023), "imapidle"); err != nil || got != 1023 {
		t.Errorf("got %d, %v, want the shard the key was made for", got, err)
	}
	for _, key := range []string{"/mailpush/changes/imapidle/", "/mailpush/changes/imapidle/x", "/mailpush/changes/imapidle/-1", "/mailpush/changes/imapidle/4294967296"} {
		if got, err := keys.shardOf(key, "imapidle"); err == nil {
			t.Errorf("%s is shard %d, want an error", key, got)
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"testing"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"

	"mailpush.internal/pkg/hold"
)

// The protocol on three members, one of which dies: the registration, the term and
// the watches live on.
func TestOneOfThreeMembersDies(t *testing.T) {
	t.Parallel()
	etcd, err := clustertest.Start(t.Context(), t.TempDir(), 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	config := fresh(t)
	config.Endpoints, config.LeaseTTL = etcd.Endpoints(), cluster.DefaultLeaseTTL
	client := open(t, config)
	member, term := join(t, client), campaign(t, client, "leader")
	wants := member.Wants(t.Context())
	etcd.Members[1].Close()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !planned(ctx, client, term, member.ID()) {
		if ctx.Err() != nil {
			t.Fatal("no plan was accepted by the two that are left")
		}
	}
	if got := receive(t, wants, "want").GetGeneration(); got == 0 {
		t.Error("an empty want")
	}
	if member.Right() != hold.Current {
		t.Error("the registration died with one of three")
	}
	if err := member.Report(ctx, &clusterv1.Have{Generation: 1}); err != nil {
		t.Error(err)
	}
}

func planned(ctx context.Context, client *cluster.Client, term *cluster.Term, id string) bool {
	read, err := client.Snapshot(ctx)
	return err == nil && term.Apply(ctx, read, put(id, 1)) == nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

func TestRevokedRegistrationIsGoneAndItsPlanStays(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	config.LeaseTTL = time.Hour // it does not end by itself
	client := open(t, config)
	dead, other := join(t, client), join(t, client)
	if err := dead.Report(t.Context(), &clusterv1.Have{Generation: 3}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Revoke(t.Context(), config, dead.Lease()); err != nil {
		t.Fatal(err)
	}
	got := entry(t, client, dead.ID())
	if got.Worker != nil || got.Have.GetGeneration() != 3 {
		t.Errorf("of the dead one there is %+v", got)
	}
	if entry(t, client, other.ID()).Worker == nil {
		t.Error("the other worker's registration went with it")
	}
	ended(t, dead.Lost(), "the registration")
	for range 2 { // what is gone is gone
		if err := cluster.Revoke(t.Context(), config, dead.Lease()); err != nil {
			t.Error(err)
		}
	}
}

func TestRevokingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	member := join(t, open(t, config))
	through := newGate(t)
	through.shut(true)
	cut := config
	cut.Endpoints = []string{through.Addr().String()}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := cluster.Revoke(ctx, cut, member.Lease())
	if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), cut.Endpoints[0]) {
		t.Errorf("through a gate that is shut: %v", err)
	}
	if err := cluster.Revoke(t.Context(), cluster.Config{}, member.Lease()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("without an etcd: %v", err)
	}
	select {
	case <-member.Lost():
		t.Error("it was revoked")
	default:
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// smallQuota is a database that Fill fills in a moment.
const smallQuota = 4 << 20

// outlives waits for longer than one lease, so that only renewals can have kept it.
func outlives(t *testing.T, member *cluster.Member, config cluster.Config, what string) {
	t.Helper()
	select {
	case <-member.Lost():
		t.Fatalf("the registration was lost with %s", what)
	case <-time.After(config.LeaseTTL + config.LeaseTTL/2):
	}
	if member.Right() != hold.Current {
		t.Fatalf("the right to act is in doubt with %s", what)
	}
}

// refuses expects an error that names the endpoint and the reason.
func refuses(t *testing.T, what string, err error, endpoint, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), endpoint) || !strings.Contains(err.Error(), reason) {
		t.Errorf("%s: %v, want an error that names %s and %s", what, err, endpoint, reason)
	}
}

// A full etcd takes no writes, and renewals are none. What is there stays; when there
// is space again everything goes on.
func TestFullEtcdKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	endpoint, root := server(t, embedded.Config{QuotaBytes: smallQuota})
	config.Endpoints = []string{endpoint}
	client := open(t, config)
	member, term := join(t, client), campaign(t, client, "leader")
	if err := root.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	outlives(t, member, config, "a full etcd")
	open(t, config) // which only reads
	select {
	case <-term.Done():
		t.Error("the term has ended")
	default:
	}
	_, err := client.Join(t.Context(), &clusterv1.Worker{})
	refuses(t, "joining", err, endpoint, "NOSPACE")
	_, err = client.Campaign(t.Context(), "next")
	refuses(t, "campaigning", err, endpoint, "NOSPACE")
	refuses(t, "planning", term.Apply(t.Context(), snapshot(t, client), put(member.ID(), 1)), endpoint, "NOSPACE")
	refuses(t, "reporting", member.Report(t.Context(), &clusterv1.Have{Generation: 1}), endpoint, "NOSPACE")

	if err := root.MakeSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	join(t, client)
	if err := term.Apply(t.Context(), snapshot(t, client), put(member.ID(), 1)); err != nil {
		t.Error(err)
	}
	report(t, member)
}

// locked is a cluster in an etcd that checks who may do what.
func locked(t *testing.T) (cluster.Config, *clustertest.Raw) {
	t.Helper()
	config := fresh(t)
	endpoint, root := guarded(t, config.Prefix)
	config.Endpoints = []string{endpoint}
	config.Username, config.Password = clustertest.User, secret.New(clustertest.Password)
	return config, root
}

// etcd checks rights with each renewal. Without them a registration is in doubt, and
// ends when its lease does; once they are given back nothing has to be started anew.
func TestRightsThatAreTakenAwayAndGivenBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		take, give func(ctx context.Context, root *clustertest.Raw, prefix string) error
		reason     string
	}{
		"permission": {
			take:   func(ctx context.Context, root *clustertest.Raw, prefix string) error { return root.Forbid(ctx, prefix) },
			give:   func(ctx context.Context, root *clustertest.Raw, prefix string) error { return root.Permit(ctx, prefix) },
			reason: "permission denied",
		},
		"password": {
			take: func(ctx context.Context, root *clustertest.Raw, _ string) error {
				return root.SetPassword(ctx, "another")
			},
			give: func(ctx context.Context, root *clustertest.Raw, _ string) error {
				return root.SetPassword(ctx, clustertest.Password)
			},
			reason: "authentication failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, root := locked(t)
			endpoint, client := config.Endpoints[0], open(t, config)
			member, term := join(t, client), campaign(t, client, "leader")
			if err := c.take(t.Context(), root, config.Prefix); err != nil {
				t.Fatal(err)
			}
			_, err := client.Snapshot(t.Context())
			refuses(t, "reading", err, endpoint, c.reason)
			refuses(t, "reporting", member.Report(t.Context(), &clusterv1.Have{Generation: 1}), endpoint, c.reason)
			_, err = client.Join(t.Context(), &clusterv1.Worker{})
			refuses(t, "joining", err, endpoint, c.reason)
			hinted(t, member, "the doubt", func() bool { return member.Right() == hold.InDoubt })
			ended(t, term.Done(), "the term in doubt")

			if err := c.give(t.Context(), root, config.Prefix); err != nil {
				t.Fatal(err)
			}
			again := join(t, client)
			_ = term.Resign(t.Context()) // its lease may have run out
			next := campaign(t, client, "next")
			wants := again.Wants(t.Context())
			if err := next.Apply(t.Context(), snapshot(t, client), put(again.ID(), 1)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, wants, "want").GetGeneration(); got != 1 {
				t.Errorf("got generation %d", got)
			}
			report(t, again)
		})
	}
}

// Each change of anybody's rights ends the validity of all tokens.
func TestChangeOfOthersRightsIsNoticedByNobody(t *testing.T) {
	t.Parallel()
	config, root := locked(t)
	member := join(t, open(t, config))
	if err := root.Permit(t.Context(), "/elsewhere"); err != nil {
		t.Fatal(err)
	}
	outlives(t, member, config, "a change of rights")
	report(t, member)
}

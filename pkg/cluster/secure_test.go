// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// guarded is an etcd of the test's own that knows a user, who may touch one prefix
// only. It checks passwords quickly, which else takes seconds under the race detector.
func guarded(t *testing.T, prefix string) (endpoint string, root *clustertest.Raw) {
	t.Helper()
	endpoint, root = server(t, embedded.Config{CheapPasswords: true})
	if err := root.Guard(t.Context(), prefix); err != nil {
		t.Fatal(err)
	}
	return endpoint, root
}

// server is an etcd of the test's own.
func server(t *testing.T, config embedded.Config) (endpoint string, root *clustertest.Raw) {
	t.Helper()
	config.Dir, config.ClientListen = t.TempDir(), "http://127.0.0.1:0"
	etcd, err := embedded.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	endpoint = etcd.Endpoints()[0]
	if root, err = clustertest.Dial(endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return endpoint, root
}

func TestUserWithRightsToThePrefixOnly(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	endpoint, _ := guarded(t, config.Prefix)
	config.Endpoints = []string{endpoint}
	config.Username, config.Password = clustertest.User, secret.New(clustertest.Password)
	client := open(t, config)
	member, term := join(t, client), campaign(t, client, "leader")
	wants, hints := member.Wants(t.Context()), client.Watch(t.Context())
	receive(t, hints, "hint")
	if err := term.Apply(t.Context(), snapshot(t, client), put(member.ID(), 1)); err != nil {
		t.Fatal(err)
	}
	receive(t, wants, "want")
	// Longer than one lease: the renewals authenticate as well.
	select {
	case <-member.Lost():
		t.Error("the registration is not renewed")
	case <-time.After(config.LeaseTTL + 200*time.Millisecond):
	}
	if err := member.Report(t.Context(), &clusterv1.Have{Generation: 1}); err != nil {
		t.Error(err)
	}
}

// behindTLS puts mutual TLS in front of the shared etcd.
func behindTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go pipe(ctx, in)
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

// pipe passes everything between a connection and etcd, until ctx ends.
func pipe(ctx context.Context, in net.Conn) {
	defer in.Close()
	out, err := net.Dial("unix", strings.TrimPrefix(endpoints[0], "unix://"))
	if err != nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = in.Close()
		_ = out.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
	_ = in.Close()
	<-done
}

func TestTLS(t *testing.T) {
	t.Parallel()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Issue(identity.Vault)
	if err != nil {
		t.Fatal(err)
	}
	client, err := authority.Issue(identity.Scheduler)
	if err != nil {
		t.Fatal(err)
	}
	config := fresh(t)
	config.Endpoints = []string{behindTLS(t, server.ServerTLS())}
	config.TLS = client.ClientTLS(identity.Vault)
	join(t, open(t, config))

	config.TLS = client.ClientTLS(identity.Admin) // not who answers
	if _, err := cluster.Open(t.Context(), config, discard()); err == nil || !strings.Contains(err.Error(), config.Endpoints[0]) ||
		!strings.Contains(err.Error(), "reached credential-vault") {
		t.Errorf("got %v, want an error naming the endpoint and who answered there", err)
	}
}

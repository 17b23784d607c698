// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// guarded is an etcd that knows a user mailpush, who may touch one prefix only. It
// checks passwords quickly, which else takes seconds under the race detector.
func guarded(t *testing.T, prefix string) (endpoint string) {
	t.Helper()
	config := embed.NewConfig()
	config.Dir, config.BcryptCost = t.TempDir(), uint(bcrypt.MinCost)
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	anywhere := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenPeerUrls, config.AdvertisePeerUrls = anywhere, anywhere
	config.ListenClientUrls, config.AdvertiseClientUrls = anywhere, anywhere
	config.InitialCluster = config.Name + "=" + anywhere[0].String()
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ended(t, server.Server.ReadyNotify(), "starting")
	endpoint = server.Clients[0].Addr().String()
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	ctx := t.Context()
	for _, step := range []func() error{
		func() error { _, err := root.RoleAdd(ctx, "root"); return err },
		func() error { _, err := root.UserAdd(ctx, "root", "root"); return err },
		func() error { _, err := root.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := root.RoleAdd(ctx, "mailpush"); return err },
		func() error {
			_, err := root.RoleGrantPermission(ctx, "mailpush", prefix+"/", clientv3.GetPrefixRangeEnd(prefix+"/"),
				clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := root.UserAdd(ctx, "mailpush", "sesame"); return err },
		func() error { _, err := root.UserGrantRole(ctx, "mailpush", "mailpush"); return err },
		func() error { _, err := root.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return endpoint
}

func TestUserWithRightsToThePrefixOnly(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	config.Endpoints = []string{guarded(t, config.Prefix)}
	config.Username, config.Password = "mailpush", secret.New("wrong sesame")
	_, err := cluster.Open(t.Context(), config, discard())
	if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "authentication failed") ||
		strings.Contains(err.Error(), "sesame") {
		t.Errorf("with a wrong password: %v, want an error about the authentication, without the password", err)
	}

	config.Password = secret.New("sesame")
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

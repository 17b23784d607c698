// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
)

func authority(t *testing.T, dir, cluster string) *identity.Authority {
	t.Helper()
	a, err := identity.OpenAuthority(dir, cluster)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *identity.Authority, service string) *identity.Identity {
	t.Helper()
	id, err := a.Issue(service)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestHandshakeNeedsTheSameAuthorityAndTheRightName(t *testing.T) {
	t.Parallel()
	ours := authority(t, t.TempDir(), "blue")
	theirs := authority(t, t.TempDir(), "blue")
	worker, vault := issue(t, ours, identity.Worker), issue(t, ours, identity.Vault)
	foreign := issue(t, theirs, identity.Worker)

	for _, c := range []struct {
		name   string
		client *tls.Config
		ok     bool
	}{
		{"right name", worker.ClientTLS(identity.Vault), true},
		{"server is another service", worker.ClientTLS(identity.Admin), false},
		{"client of another authority", foreign.ClientTLS(identity.Vault), false},
		{"client without a certificate", &tls.Config{InsecureSkipVerify: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := identity.Handshake(t, c.client, vault.ServerTLS()); (err == nil) != c.ok {
				t.Errorf("handshake: %v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestWrittenIdentityLoadsOnlyAsItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, err := authority(t, dir, "blue").Write(identity.Vault, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Load("blue", identity.Vault, files); err != nil {
		t.Errorf("Load: %v", err)
	}
	if _, err := identity.Load("blue", identity.Worker, files); err == nil || !strings.Contains(err.Error(), identity.Vault) {
		t.Errorf("Load as another service: %v, want an error naming credential-vault", err)
	}
	if _, err := identity.Load("green", identity.Vault, files); err == nil || !strings.Contains(err.Error(), `"blue"`) {
		t.Errorf("Load in another cluster: %v, want an error naming the cluster", err)
	}
	info, err := os.Stat(files.Key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v, want mode 0600", info.Mode(), err)
	}
}

func TestAuthoritySurvivesReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := issue(t, authority(t, dir, "blue"), identity.Worker)
	after := issue(t, authority(t, dir, "blue"), identity.Vault)
	if err := identity.Handshake(t, before.ClientTLS(identity.Vault), after.ServerTLS()); err != nil {
		t.Errorf("an identity of before the restart is refused: %v", err)
	}
}

type openVault struct {
	vaultv1connect.UnimplementedVaultServiceHandler
}

func (openVault) Open(context.Context, *connect.Request[vaultv1.OpenRequest]) (*connect.Response[vaultv1.OpenResponse], error) {
	return connect.NewResponse(&vaultv1.OpenResponse{}), nil
}

func TestAllowIsDenyByDefault(t *testing.T) {
	t.Parallel()
	a := authority(t, t.TempDir(), "blue")
	rules := map[string][]string{vaultv1connect.VaultServiceOpenProcedure: {identity.Worker}}
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(openVault{}, connect.WithInterceptors(identity.Allow(rules))))
	server := httptest.NewUnstartedServer(identity.Middleware(mux))
	server.TLS = issue(t, a, identity.Vault).ServerTLS()
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	client := func(service string) vaultv1connect.VaultServiceClient {
		transport := &http.Transport{TLSClientConfig: issue(t, a, service).ClientTLS(identity.Vault), ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return vaultv1connect.NewVaultServiceClient(&http.Client{Transport: transport}, server.URL)
	}
	open := func(service string) error {
		_, err := client(service).Open(t.Context(), connect.NewRequest(&vaultv1.OpenRequest{}))
		return err
	}
	if err := open(identity.Worker); err != nil {
		t.Errorf("the worker may call Open: %v", err)
	}
	if err := open(identity.Admin); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("admin-api calling Open: %v, want permission_denied", err)
	}
	_, err := client(identity.Worker).Seal(t.Context(), connect.NewRequest(&vaultv1.SealRequest{}))
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a procedure without a rule: %v, want permission_denied", err)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
)

// fakeVault answers Open with what the test wants to see mapped.
type fakeVault struct {
	vaultv1connect.UnimplementedVaultServiceHandler
	open func() error
}

func (f fakeVault) Open(context.Context, *connect.Request[vaultv1.OpenRequest]) (*connect.Response[vaultv1.OpenResponse], error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	return connect.NewResponse(&vaultv1.OpenResponse{}), nil
}

func serve(t *testing.T, open func() error) (string, *bytes.Buffer) {
	t.Helper()
	logged := new(bytes.Buffer)
	log := slog.New(slog.NewTextHandler(logged, nil))
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(fakeVault{open: open}, rpc.HandlerOptions(log, 4096)...))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, logged
}

func request() *connect.Request[vaultv1.OpenRequest] {
	return connect.NewRequest(&vaultv1.OpenRequest{
		User: &mailv1.User{ContextId: "1", UserId: "249"}, Account: "mail", Reason: "test",
	})
}

func TestErrorsOnTheWayOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		code   connect.Code
		text   string
		logged string
	}{
		{"fault keeps kind and message", fault.New(fault.NotFound, "no credential"), connect.CodeNotFound, "no credential", ""},
		{"wrapped fault", fmt.Errorf("x: %w", fault.New(fault.Precondition, "fenced")), connect.CodeFailedPrecondition, "fenced", ""},
		{"cause stays in the log", fault.Wrap(fault.Unavailable, io.ErrUnexpectedEOF, "no database"), connect.CodeUnavailable, "no database", "unexpected EOF"},
		{"unknown error is internal", errors.New("secret detail"), connect.CodeInternal, "internal error", "secret detail"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, logged := serve(t, func() error { return c.err })
			_, err := vaultv1connect.NewVaultServiceClient(http.DefaultClient, url).Open(t.Context(), request())
			got := new(connect.Error)
			if !errors.As(err, &got) || got.Code() != c.code || got.Message() != c.text {
				t.Errorf("got %v, want %v: %s", err, c.code, c.text)
			}
			if c.logged != "" && !strings.Contains(logged.String(), c.logged) {
				t.Errorf("log lacks %q:\n%s", c.logged, logged)
			}
			if c.code != connect.CodeInternal && fault.KindOf(rpc.FromConnect(err)) != fault.KindOf(c.err) {
				t.Errorf("kind %v came back as %v", fault.KindOf(c.err), fault.KindOf(rpc.FromConnect(err)))
			}
		})
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	url, logged := serve(t, func() error { panic("boom") })
	_, err := vaultv1connect.NewVaultServiceClient(http.DefaultClient, url).Open(t.Context(), request())
	if connect.CodeOf(err) != connect.CodeInternal || strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v, want internal without the cause", err)
	}
	if !strings.Contains(logged.String(), "boom") {
		t.Errorf("the cause is not in the log:\n%s", logged)
	}
}

func TestBadJSONBodies(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, func() error { return nil })
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"names the field", `{"user":{"contextId":"1","userId":"no spaces"},"account":"mail","reason":"x"}`, 400, "user.userId"},
		{"missing message", `{"account":"mail","reason":"x"}`, 400, "user"},
		{"malformed", `{"user":`, 400, "invalid_argument"},
		{"too large", `{"reason":"` + strings.Repeat("x", 5000) + `"}`, 429, "resource_exhausted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			post, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				url+vaultv1connect.VaultServiceOpenProcedure, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			post.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(post)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status || !strings.Contains(string(text), c.want) {
				t.Errorf("got %d %s, want %d with %q", response.StatusCode, text, c.status, c.want)
			}
		})
	}
}

func TestClientTriesEachAddress(t *testing.T) {
	t.Parallel()
	authority, err := identity.OpenAuthority(t.TempDir(), "blue")
	if err != nil {
		t.Fatal(err)
	}
	vault, err := authority.Issue(identity.Vault)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := authority.Issue(identity.Worker)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(fakeVault{open: func() error { return nil }}))
	server := httptest.NewUnstartedServer(mux)
	server.TLS = vault.ServerTLS()
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	dead := httptest.NewServer(nil)
	dead.Close()

	client := rpc.Client(worker, identity.Vault, []string{dead.Listener.Addr().String(), server.Listener.Addr().String()})
	t.Cleanup(client.CloseIdleConnections)
	if _, err := vaultv1connect.NewVaultServiceClient(client, rpc.BaseURL).Open(t.Context(), request()); err != nil {
		t.Errorf("the second address was not tried: %v", err)
	}
}

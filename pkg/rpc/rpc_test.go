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
	open func(context.Context) error
}

func (f fakeVault) Open(ctx context.Context, _ *connect.Request[vaultv1.OpenRequest]) (*connect.Response[vaultv1.OpenResponse], error) {
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	return connect.NewResponse(&vaultv1.OpenResponse{}), nil
}

func serve(t *testing.T, open func() error) (string, *bytes.Buffer) {
	t.Helper()
	return serveWith(t, func(context.Context) error { return open() })
}

func serveWith(t *testing.T, open func(context.Context) error) (string, *bytes.Buffer) {
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
		{"inside a fault stays the network", unreachable("the vault does not answer"), connect.CodeUnavailable, "the vault does not answer", "dialing 10.0.0.7"},
		{"inside two", fmt.Errorf("x: %w", fault.Wrap(fault.Unavailable, unreachable("y"), "z")), connect.CodeUnavailable, "z", ""},
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
			if c.code != connect.CodeInternal && fault.KindOf(rpc.FromConnect("it", err)) != fault.KindOf(c.err) {
				t.Errorf("kind %v came back as %v", fault.KindOf(c.err), fault.KindOf(rpc.FromConnect("it", err)))
			}
		})
	}
}

// Within an answer an error is what it is alone, and comes back as the same kind.
func TestErrorsWithinAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err           error
		code, message string
		kind          fault.Kind
	}{
		{fault.Field("account.login", "is required"), "invalid_argument", "account.login: is required", fault.Invalid},
		{fmt.Errorf("x: %w", fault.New(fault.Unauthenticated, "no")), "unauthenticated", "no", fault.Unauthenticated},
		{unreachable("the vault does not answer"), "unavailable", "the vault does not answer", fault.Unavailable},
		{context.DeadlineExceeded, "deadline_exceeded", "the call took too long", fault.Unavailable},
		{errors.New("secret detail"), "internal", "internal error", fault.Internal},
	} {
		code, message := rpc.InAnswer(c.err)
		if code != c.code || message != c.message {
			t.Errorf("%v: got %s: %s", c.err, code, message)
		}
		if back := rpc.FromAnswer(code, message); fault.KindOf(back) != c.kind || back.Error() != c.message {
			t.Errorf("%v came back as %v", c.err, back)
		}
	}
	if err := rpc.FromAnswer("", "none"); err != nil {
		t.Errorf("no code is no error, got %v", err)
	}
}

// To compress what is small costs more than it saves, and between services anything.
func TestLargeAnswersToThePublicAreCompressed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, encoding string
		bytes          int
		more           []connect.HandlerOption
	}{
		{"small", "", 100, []connect.HandlerOption{rpc.CompressLarge()}},
		{"large", "gzip", 10_000, []connect.HandlerOption{rpc.CompressLarge()}},
		{"large, to a service", "", 10_000, nil},
	} {
		mux := http.NewServeMux()
		mux.Handle(vaultv1connect.NewVaultServiceHandler(largeVault{bytes: c.bytes},
			append(rpc.HandlerOptions(slog.New(slog.DiscardHandler), 4096), c.more...)...))
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+vaultv1connect.VaultServiceOpenProcedure,
			strings.NewReader(`{"user":{"contextId":"1","userId":"2"},"account":"mail","reason":"test"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept-Encoding", "gzip")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Content-Encoding"); answer.StatusCode != http.StatusOK || got != c.encoding {
			t.Errorf("%s: %s, encoded by %q", c.name, answer.Status, got)
		}
		_ = answer.Body.Close()
	}
}

// largeVault opens a password of so many bytes.
type largeVault struct {
	vaultv1connect.UnimplementedVaultServiceHandler
	bytes int
}

func (v largeVault) Open(context.Context, *connect.Request[vaultv1.OpenRequest]) (*connect.Response[vaultv1.OpenResponse], error) {
	return connect.NewResponse(&vaultv1.OpenResponse{Kind: &vaultv1.OpenResponse_Login{
		Login: &vaultv1.Login{Password: strings.Repeat("p", v.bytes)},
	}}), nil
}

// unreachable is a fault about a call that the network has ended.
func unreachable(text string) error {
	network := connect.NewError(connect.CodeDeadlineExceeded, errors.New("dialing 10.0.0.7:8102: refused"))
	return fault.Wrap(fault.Unavailable, errors.Join(io.EOF, network), "%s", text)
}

func TestAConnectErrorAroundAFaultStays(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("x: %w", connect.NewError(connect.CodeNotFound, fault.New(fault.Denied, "no")))
	if got := rpc.ToConnect(err); got.Code() != connect.CodeNotFound {
		t.Errorf("got %v, want not_found", got)
	}
}

// What lies between two services is theirs: a caller learns that there was no answer.
func TestWhatTheNetworkSaysStaysInside(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler()) // speaks no Connect
	t.Cleanup(plain.Close)
	url, _ := serve(t, func() error { return nil })
	late, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"refused": func() error {
			_, err := vaultv1connect.NewVaultServiceClient(http.DefaultClient, "http://127.0.0.1:1").Open(t.Context(), request())
			return err
		},
		"something else listens there": func() error {
			_, err := vaultv1connect.NewVaultServiceClient(http.DefaultClient, plain.URL).Open(t.Context(), request())
			return err
		},
		"too late": func() error {
			_, err := vaultv1connect.NewVaultServiceClient(http.DefaultClient, url).Open(late, request())
			return err
		},
		"no Connect error": func() error { return io.ErrUnexpectedEOF },
	} {
		cause := call()
		err := rpc.FromConnect("the vault", cause)
		if fault.KindOf(err) != fault.Unavailable || err.Error() != "the vault does not answer" || !errors.Is(err, cause) {
			t.Errorf("%s: %v became %v: %v", name, cause, fault.KindOf(err), err)
		}
		if got := rpc.ToConnect(err); got.Code() != connect.CodeUnavailable || got.Message() != "the vault does not answer" {
			t.Errorf("%s: a caller sees %v", name, got)
		}
	}
	if rpc.FromConnect("the vault", nil) != nil {
		t.Error("an answer became an error")
	}
}

// The deadline is the caller's: that it has passed says nothing of the services behind.
func TestDeadlineOfTheCaller(t *testing.T) {
	t.Parallel()
	url, logged := serveWith(t, func(ctx context.Context) error {
		<-ctx.Done()
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the vault does not answer")
	})
	status, text := post(t, url, `{"user":{"contextId":"1","userId":"2"},"account":"mail","reason":"x"}`,
		map[string]string{"Connect-Timeout-Ms": "100"})
	if status != http.StatusGatewayTimeout || !strings.Contains(text, "the call took too long") || logged.Len() != 0 {
		t.Errorf("got %d %s, logged %q", status, text, logged)
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

// post opens a credential in plain JSON.
func post(t *testing.T, url, body string, header map[string]string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+vaultv1connect.VaultServiceOpenProcedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
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
			if status, text := post(t, url, c.body, nil); status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("got %d %s, want %d with %q", status, text, c.status, c.want)
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
	mux.Handle(vaultv1connect.NewVaultServiceHandler(fakeVault{open: func(context.Context) error { return nil }}))
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

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
)

func TestRequestIDIsTakenIfItIsSane(t *testing.T) {
	t.Parallel()
	for given, taken := range map[string]bool{
		"a": true, "0af7651916cd43dd8448eb211c80319c": true, "b7/x:{~}": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a\nlevel=ERROR": false, "a\x00": false, "a\x7f": false, "ä": false, "\xff": false,
	} {
		got := rpc.RequestID(rpc.WithRequestID(t.Context(), given))
		if taken != (got == given) || !taken && (len(got) < 20 || !strings.HasPrefix(got, "req_")) {
			t.Errorf("%q became %q", given, got)
		}
	}
	if rpc.RequestID(t.Context()) != "" {
		t.Error("no call has an id")
	}
	if one, two := rpc.WithRequestID(t.Context(), ""), rpc.WithRequestID(t.Context(), ""); rpc.RequestID(one) == rpc.RequestID(two) {
		t.Error("two calls have the same id")
	}
}

// From header to log line, error and the next service.
func TestRequestIDGoesAlong(t *testing.T) {
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
	logged := new(bytes.Buffer)
	log := slog.New(rpc.LogRequestIDs(slog.NewTextHandler(logged, nil))).With("service", "vault")
	seen := make(chan string, 1)
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(fakeVault{open: func(ctx context.Context) error {
		seen <- rpc.RequestID(ctx)
		return errors.New("broken")
	}}, rpc.HandlerOptions(log, 4096)...))
	server := httptest.NewUnstartedServer(mux)
	server.TLS = vault.ServerTLS()
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := rpc.Client(worker, identity.Vault, []string{server.Listener.Addr().String()})
	t.Cleanup(client.CloseIdleConnections)
	call := func(ctx context.Context) (inError, inHandler string) {
		t.Helper()
		_, err := vaultv1connect.NewVaultServiceClient(client, rpc.BaseURL).Open(ctx, request())
		return idOf(t, err), <-seen
	}
	if got, there := call(rpc.WithRequestID(t.Context(), "from-the-edge")); got != "from-the-edge" || there != got {
		t.Errorf("the error is of call %q, in the handler it is %q", got, there)
	}
	if !strings.Contains(logged.String(), "request_id=from-the-edge") || !strings.Contains(logged.String(), "error=broken") {
		t.Errorf("logged %s", logged)
	}
	if got, there := call(t.Context()); got == "" || there != got {
		t.Errorf("a call of nobody has the id %q, in the handler it is %q", got, there)
	}
}

// idOf is the id that an error of a call shows.
func idOf(t *testing.T, err error) string {
	t.Helper()
	failed, ok := errors.AsType[*connect.Error](err)
	if !ok {
		t.Fatalf("no error of a call: %v", err)
	}
	for _, d := range failed.Details() {
		if value, err := d.Value(); err == nil {
			if info, ok := value.(*errdetails.RequestInfo); ok {
				return info.GetRequestId()
			}
		}
	}
	return ""
}

func TestRequestIDIsReturned(t *testing.T) {
	t.Parallel()
	handler := rpc.RequestIDs(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, rpc.RequestID(r.Context()), http.StatusTeapot)
	}))
	for _, given := range []string{"mine", "", "not\tmine"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set(rpc.RequestIDHeader, given)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		id := strings.TrimSpace(w.Body.String())
		if w.Header().Get(rpc.RequestIDHeader) != id || (id == given) != (given == "mine") || id == "" {
			t.Errorf("%q: answered %v %q", given, w.Header(), id)
		}
	}
}

// Who is refused for a limit is told when to come back.
func TestRetryAfterOfLimits(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]*fault.Error{
		"60": fault.New(fault.Exhausted, "too many"),
		"2":  {Kind: fault.Exhausted, Message: "too many", RetryAfter: 1100e6},
		"":   fault.New(fault.Invalid, "wrong"),
		"5":  {Kind: fault.Unavailable, Message: "away", RetryAfter: 5e9},
	} {
		if got := rpc.ToConnect(f).Meta().Get("Retry-After"); got != want {
			t.Errorf("%v: Retry-After is %q, want %q", f, got, want)
		}
	}
}

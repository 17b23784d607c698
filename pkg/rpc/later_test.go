// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/rpc"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
)

// Whatever a client speaks, it is told to try again, and served when there is a handler.
func TestWhatIsStillStartingIsUnavailable(t *testing.T) {
	t.Parallel()
	later := rpc.NewLater("the vault is starting")
	server := httptest.NewUnstartedServer(later)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	clients := map[string]vaultv1connect.VaultServiceClient{
		"Connect":  vaultv1connect.NewVaultServiceClient(server.Client(), server.URL),
		"JSON":     vaultv1connect.NewVaultServiceClient(server.Client(), server.URL, connect.WithProtoJSON()),
		"gRPC":     vaultv1connect.NewVaultServiceClient(server.Client(), server.URL, connect.WithGRPC()),
		"gRPC-Web": vaultv1connect.NewVaultServiceClient(server.Client(), server.URL, connect.WithGRPCWeb()),
	}
	expect := func(want connect.Code) {
		t.Helper()
		for name, client := range clients {
			if _, err := client.Open(t.Context(), connect.NewRequest(&vaultv1.OpenRequest{})); connect.CodeOf(err) != want {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
	expect(connect.CodeUnavailable)
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(vaultv1connect.UnimplementedVaultServiceHandler{}))
	later.Set(mux)
	expect(connect.CodeUnimplemented)
}

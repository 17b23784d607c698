// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"net/http"
	"testing"

	"mailpush.internal/pkg/identity"
)

// Processes come and go under new addresses: one that stays keeps its connections, and
// not all that ever were are kept.
func TestClientsAreKeptByAddressAndBounded(t *testing.T) {
	t.Parallel()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	id, err := authority.Issue(identity.Admin)
	if err != nil {
		t.Fatal(err)
	}
	clients := NewClients(id, identity.Worker)
	seen := make(map[*http.Client]bool)
	for n := range 2 * maxClients {
		address := fmt.Sprintf("127.0.0.1:%d", n)
		client := clients.At(address)
		if clients.At(address) != client {
			t.Fatalf("%s has two clients", address)
		}
		seen[client] = true
		if len(clients.known) > maxClients {
			t.Fatalf("%d clients are kept", len(clients.known))
		}
	}
	if len(seen) != 2*maxClients {
		t.Errorf("%d clients of %d addresses", len(seen), 2*maxClients)
	}
	clients.CloseIdleConnections() // of which there are none
}

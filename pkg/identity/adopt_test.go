// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"
	"time"

	"mailpush.internal/pkg/identity"
)

// A certificate and its authority are replaced under servers and clients that run: what was
// made of the former ones goes by the new ones, and whoever shows the former is refused.
func TestAdoptedCertificatesHoldForTheNextConnections(t *testing.T) {
	t.Parallel()
	former, next := authority(t, t.TempDir(), "blue"), authority(t, t.TempDir(), "blue")
	vault, worker, late := issue(t, former, identity.Vault), issue(t, former, identity.Worker), issue(t, former, identity.Worker)
	server, client := vault.ServerTLS(), worker.ClientTLS(identity.Vault)
	if err := identity.Handshake(t, client, server); err != nil {
		t.Fatal(err)
	}
	vault.Adopt(issue(t, next, identity.Vault))
	if err := identity.Handshake(t, client, server); err == nil {
		t.Error("a server of another authority was taken")
	}
	worker.Adopt(issue(t, next, identity.Worker))
	if err := identity.Handshake(t, client, server); err != nil {
		t.Errorf("both have the new ones: %v", err)
	}
	if err := identity.Handshake(t, late.ClientTLS(identity.Vault), server); err == nil {
		t.Error("a client of the former authority was taken")
	}
	if err := identity.Handshake(t, worker.ClientTLS(identity.Admin), server); err == nil {
		t.Error("a service under another name was taken")
	}
}

func TestAnIdentityTellsWhenItEnds(t *testing.T) {
	t.Parallel()
	expires := issue(t, authority(t, t.TempDir(), "blue"), identity.Vault).Expires()
	const day = 24 * time.Hour
	if left := time.Until(expires.Certificate); left < 700*day || left > 731*day {
		t.Errorf("the certificate ends in %s", left)
	}
	if left := time.Until(expires.Authority); left < 3600*day || left > 3651*day {
		t.Errorf("the authority ends in %s", left)
	}
}

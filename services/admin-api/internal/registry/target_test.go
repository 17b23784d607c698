// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import "testing"

func TestEveryTransportHasAnOriginAndAMessage(t *testing.T) {
	t.Parallel()
	addresses := map[Transport]struct{ address, origin string }{
		Webhook: {"https://Hook.example/?token=t", "https://hook.example:443"},
	}
	for transport := range transports() {
		want, ok := addresses[transport]
		target := Target{Transport: transport, Address: want.address}
		if got := target.Origin(); !ok || got != want.origin {
			t.Errorf("%s: origin %q", transport, got)
		}
		if message := target.Wire(); message.GetKind() == nil {
			t.Errorf("%s: message %v", transport, message)
		}
	}
}

func TestTargetOfALaterRelease(t *testing.T) {
	t.Parallel()
	later := Target{Transport: "web_push", Address: "https://hook.example/"}
	if later.Origin() != "" || later.Wire() != nil {
		t.Errorf("got origin %q, message %v", later.Origin(), later.Wire())
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	"mailpush.internal/pkg/pushtest"
)

// receiver is the webhook endpoint of an integrator.
type receiver struct{ *pushtest.Receiver }

// next waits for one request, whatever it is, which must be signed.
func (r receiver) next(t *testing.T, secret, what string) *pushtest.Push {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pushTimeout)
	defer cancel()
	got, err := r.Next(ctx)
	if err != nil {
		t.Fatalf("no %s: %v", what, err)
	}
	if err := got.Verify(secret); err != nil {
		t.Errorf("the %s: %v", what, err)
	}
	return got
}

// expectPing waits for the question whether the endpoint wants pushes.
func (r receiver) expectPing(t *testing.T, secret string) {
	t.Helper()
	if got := r.next(t, secret, "ping"); got.Type != pushtest.TypePing || got.Data.Challenge == "" {
		t.Fatalf("the first request is %s", got.Body)
	}
}

// expect waits for one push, which must carry exactly the mail with the given subject.
func (r receiver) expect(t *testing.T, secret, subject string) {
	t.Helper()
	got := r.next(t, secret, "push for the mail "+subject)
	data := got.Data
	if got.Type != pushtest.TypeNewMail || data.ContextID != "1" || data.UserID != "249" || data.Folder != "INBOX" ||
		data.Count != 1 || len(data.Events) != 1 || data.Events[0].Subject != subject || data.Events[0].ID == "" {
		t.Errorf("the push for %q is %s", subject, got.Body)
	}
}

// expectEnding waits for the word that the subscription has been removed.
func (r receiver) expectEnding(t *testing.T, secret string) {
	t.Helper()
	if got := r.next(t, secret, "word of the end"); got.Type != pushtest.TypeEnding {
		t.Errorf("after the end comes %s", got.Body)
	}
}

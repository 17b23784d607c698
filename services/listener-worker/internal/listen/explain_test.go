// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func (r *rig) explain(t *testing.T, u mailbox.User) listen.Explanation {
	t.Helper()
	got, known, err := r.loop.Explain(t.Context(), u)
	if err != nil || !known {
		t.Fatalf("explaining %s: %v, %v", u, known, err)
	}
	return got
}

// A listener that is kept waiting tells why, whose fault it is and until when; of one that
// is served there is nothing to tell.
func TestExplainTellsWhatAListenerWaitsFor(t *testing.T) {
	t.Parallel()
	tuning := quick()
	tuning.MinBackoff, tuning.MaxBackoff = time.Hour, time.Hour
	r := start(t, tuning)
	well, ill := user("1"), user("2")
	if _, known, err := r.loop.Explain(t.Context(), well); known || err != nil {
		t.Fatalf("of nobody: %v, %v", known, err)
	}
	for u, address := range map[mailbox.User]string{well: scripted(t, imaptest.Script{}).Addr(), ill: "127.0.0.1:1"} {
		r.creds.set(u, "anna", "pw", 1)
		r.loop.Put(mailbox.Listening{User: u, Store: plainStore(address), CredentialVersion: 1})
	}
	r.untilState(t, well, mailv1.ListenerState_LISTENER_STATE_IDLE)
	got := r.explain(t, well)
	if got.Failure != 0 || got.Blame != 0 || !got.NextTry.IsZero() || got.Store != (listen.ExplainedStore{Name: "test", Listeners: 1, Served: 1}) {
		t.Errorf("of one that is served: %+v", got)
	}
	until(t, "a failure", func() bool {
		got = r.explain(t, ill)
		return got.Failure == mailbox.ClassUnavailable && !got.NextTry.IsZero()
	})
	if got.Blame != mailbox.BlameStore || got.LastError == "" || got.Store.Listeners != 1 || got.Store.Served != 0 {
		t.Errorf("of one that cannot connect: %+v", got)
	}
}

func TestExplainEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	idle := listen.New(listen.Config{}, nil, nil) // does not run
	if _, _, err := idle.Explain(ctx, user("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("explained to nobody: %v", err)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/cmd/internal/settings"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// The listener of a disabled user ends on its worker, connection and all, and what has come
// meanwhile is pushed once the user is enabled.
func TestDisabledUserHasNoListenerAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := start(t, filepath.Join(t.TempDir(), "data"), w, func(*settings.Settings) {})
	r.subscribe(t, w, "pw")
	w.deliver(t, "before")
	w.expect(t, "before")
	r.expectState(t, mailv1.ListenerState_LISTENER_STATE_IDLE)

	_, err := r.admin.DisableUser(t.Context(), connect.NewRequest(&adminv1.DisableUserRequest{ContextId: "1", UserId: "249", Reason: "moving"}))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the listener", func(ctx context.Context) error {
		answer, err := r.admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{}))
		if err != nil {
			return err
		}
		if users := answer.Msg.GetPushUsers(); len(users) > 0 {
			return fmt.Errorf("the list shows %v", users)
		}
		if n := w.mail.Connections(); n > 0 {
			return fmt.Errorf("%d connections to the mail store", n)
		}
		return nil
	})
	w.deliver(t, "meanwhile")
	if answer := r.subscribe(t, w, "pw"); answer.GetPermanent() || answer.GetReason() != "the user is disabled: moving" {
		t.Errorf("Subscribe: %v", answer)
	}
	if _, err := r.admin.EnableUser(t.Context(), connect.NewRequest(&adminv1.EnableUserRequest{ContextId: "1", UserId: "249"})); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "meanwhile")

	r.expectHistory(t, []adminv1.HistoryKind{
		adminv1.HistoryKind_HISTORY_KIND_USER_ENABLED, adminv1.HistoryKind_HISTORY_KIND_LOGIN_CHANGED,
		adminv1.HistoryKind_HISTORY_KIND_USER_DISABLED, adminv1.HistoryKind_HISTORY_KIND_SUBSCRIBED,
	})
	r.end(t)
}

// expectHistory waits until the one user's history is of these kinds, the newest first. That
// the endpoint wants pushes is told whenever its worker reports it.
func (r *running) expectHistory(t *testing.T, want []adminv1.HistoryKind) {
	t.Helper()
	var got []adminv1.HistoryKind
	defer func() {
		if t.Failed() {
			t.Logf("the history is %v", got)
		}
	}()
	await(t, "the history", func(ctx context.Context) error {
		answer, err := r.admin.ListHistory(ctx, connect.NewRequest(&adminv1.ListHistoryRequest{ContextId: "1", UserId: "249"}))
		if err != nil {
			return err
		}
		got = nil
		for _, e := range answer.Msg.GetEntries() {
			if e.GetKind() != adminv1.HistoryKind_HISTORY_KIND_ENDPOINT_CONFIRMED {
				got = append(got, e.GetKind())
			}
		}
		if !slices.Equal(want, got) {
			return errors.New("it is another one")
		}
		return nil
	})
}

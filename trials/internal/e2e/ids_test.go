// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/pushtest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/trials/internal/rig"
)

// Users are called what mail platforms call them, up to the longest, and some so that one
// text without escapes would be two of them. Each is registered at Dovecot by its name, is
// told by it of its mail, and gets that of nobody else.
func TestUsersAreCalledWhatMailPlatformsCallThem(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Dovecot: run make test") //nolint:forbidigo // only with -short
	}
	dovecot := startTelling(t)
	mailpush := withoutWorkers(t, rig.Options{
		Store: dovecot.store, Set: []string{"log.level=info", "worker.backends=[dovecot]", "push.credstorage.enabled=false"},
	})
	startWorker(t, mailpush, "worker-1", dovecot.told()...)
	awaitWorkers(t, mailpush, 1)
	sink := pushtest.Start(t)
	users := []*mailv1.User{
		{ContextId: "1", UserId: "anna+push@example.org"}, {ContextId: "1", UserId: "o'brien=x~y!#$%&^`{|}@example.org"},
		{ContextId: "c", UserId: "a@b"}, {ContextId: "b@c", UserId: "a"}, {ContextId: "C", UserId: "a@b"}, {ContextId: "b%40c", UserId: "a"},
		{ContextId: strings.Repeat("1a", 127), UserId: strings.Repeat("@%", 127)},
	}
	for i, user := range users {
		if err := dovecot.AddUser(rig.Box(i), rig.Password); err != nil {
			t.Fatal(err)
		}
		await(t, "a subscription", startTimeout, func(ctx context.Context) error {
			answer, err := mailpush.Push().Subscribe(ctx, connect.NewRequest(&pushv1.SubscribeRequest{
				ContextId: user.GetContextId(), UserId: user.GetUserId(), ClientId: "any", Topics: []string{"mail:new"},
				Account: &pushv1.Account{MailStore: "bench", Login: rig.Box(i)},
				Webhook: &pushv1.Webhook{Url: sink.URL() + "/" + rig.Box(i)},
			}))
			if err == nil && !answer.Msg.GetPermanent() {
				t.Fatalf("%v: %s", user, answer.Msg.GetReason())
			}
			return err
		})
	}
	awaitWaiting(t, mailpush, len(users))
	for i := range users {
		dovecot.deliver(t, rig.Box(i), fmt.Sprintf("to %d", i))
	}
	for i, user := range users {
		awaitPush(t, sink, rig.Box(i), fmt.Sprintf("to %d", i), pushTimeout)
		for _, push := range sink.All(pushtest.To(rig.Box(i)), pushtest.OfType(pushtest.TypeNewMail)) {
			if push.Data.ContextID != user.GetContextId() || push.Data.UserID != user.GetUserId() || push.Data.Count != 1 {
				t.Errorf("%v: pushed %s", user, push.Body)
			}
		}
		expectTold(t, mailpush, user)
	}
}

// expectTold expects that the mail store has told of the user's mail by the user's name.
func expectTold(t *testing.T, mailpush *rig.Mailpush, user *mailv1.User) {
	t.Helper()
	answer, err := mailpush.Admin.ListPushUsers(t.Context(), connect.NewRequest(&adminv1.ListPushUsersRequest{ContextId: user.GetContextId()}))
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range answer.Msg.GetPushUsers() {
		if listed.GetUserId() != user.GetUserId() || listed.GetContextId() != user.GetContextId() {
			continue
		}
		if listed.GetRegistration() != mailv1.Registration_REGISTRATION_REGISTERED || listed.GetLastHint() == nil {
			t.Errorf("%v has not been told of: %s", user, listed)
		}
		return
	}
	t.Errorf("%v is not listed in %s", user, answer.Msg)
}

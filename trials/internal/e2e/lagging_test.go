// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/trials/internal/rig"
)

// Of four mails EXISTS and STATUS count two that FETCH shows only later, one in the middle
// and one at the end; they were once passed over. The worker that listens is killed
// meanwhile, and the other one goes on.
func TestMailShownLateIsNotLost(t *testing.T) {
	if testing.Short() {
		t.Skip("needs several processes: run make test") //nolint:forbidigo // only with -short
	}
	const box = "anna"
	store := startOdd(t, imaptest.Odd{})
	mailpush := withoutWorkers(t, rig.Options{
		Store: rig.Store{Address: store.Addr()}, Set: []string{"cluster.leaseTTL=2s", "log.level=info"},
	})
	workers := []*proctest.Process{startWorker(t, mailpush, "worker-1"), startWorker(t, mailpush, "worker-2")}
	awaitWorkers(t, mailpush, len(workers))
	sink := pushtest.Start(t)
	subscribe(t, mailpush, box, sink)
	owner := ownerOf(t, mailpush, workers)

	store.Arrive(imaptest.OddMail{Subject: "first"}, late("late, in the middle"), imaptest.OddMail{Subject: "behind"}, late("late, at the end"))
	want := []string{"first", "late, in the middle", "behind", "late, at the end"}
	awaitPush(t, sink, box, want[0], pushTimeout)
	owner.Kill()
	for _, subject := range []string{want[1], want[3]} {
		if len(sink.All(pushtest.About(subject))) > 0 {
			t.Fatalf("%q was pushed before the worker was killed: the trial is void", subject)
		}
	}
	for _, subject := range want[1:] {
		awaitPush(t, sink, box, subject, pushTimeout)
	}
	expectInOrder(t, sink, box, want)
}

// late is a mail that is hidden for more looks than a worker takes before it is killed,
// and for fewer than the next one takes before it believes that the mail is gone.
func late(subject string) imaptest.OddMail {
	return imaptest.OddMail{Subject: subject, Hidden: true, First: 8}
}

func awaitWorkers(t *testing.T, mailpush *rig.Mailpush, n int) {
	t.Helper()
	await(t, "the workers", startTimeout, func(ctx context.Context) error {
		answer, err := mailpush.Admin.ListWorkers(ctx, connect.NewRequest(&adminv1.ListWorkersRequest{}))
		if err != nil {
			return err
		}
		if got := len(answer.Msg.GetWorkers()); got != n {
			return fmt.Errorf("%d of %d are there", got, n)
		}
		return nil
	})
}

// ownerOf finds the process that runs the only listener: each logs its id when it joins.
func ownerOf(t *testing.T, mailpush *rig.Mailpush, workers []*proctest.Process) *proctest.Process {
	t.Helper()
	var owner *proctest.Process
	await(t, "the owner of the mailbox", startTimeout, func(ctx context.Context) error {
		answer, err := mailpush.Admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{}))
		if err != nil {
			return err
		}
		for _, user := range answer.Msg.GetPushUsers() {
			for _, worker := range workers {
				if id := user.GetWorker(); id != "" && joined(worker.Log(), id) {
					owner = worker
					return nil
				}
			}
		}
		return errors.New("no worker is")
	})
	return owner
}

func joined(log, id string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"worker joined"`) && strings.Contains(line, `"`+id+`"`) {
			return true
		}
	}
	return false
}

// expectInOrder expects each mail at least once, in order, under an event id of its own.
// What a worker has pushed and could not note may be pushed again.
func expectInOrder(t *testing.T, sink *pushtest.Receiver, box string, want []string) {
	t.Helper()
	var got []string
	mails := make(map[string]string) // by event id
	for _, push := range sink.All(pushtest.To(box), pushtest.OfType(pushtest.TypeNewMail)) {
		for _, event := range push.Data.Events {
			if !slices.Contains(got, event.Subject) {
				got = append(got, event.Subject)
			}
			mails[event.ID] = event.Subject
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pushed %q, want %q", got, want)
	}
	if len(mails) != len(want) {
		t.Errorf("%d mails were pushed under the event ids %v", len(want), mails)
	}
}

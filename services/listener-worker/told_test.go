// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

// listens starts a worker that listens for a user with one subscription, which begins
// at the end of the mailbox.
func (w *world) listens(user *mailv1.User) (client workerv1connect.WorkerServiceClient, id string, stop func()) {
	w.t.Helper()
	address, stop := w.startWorker()
	id, client = w.joined(), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(w.t, client, user, true)
	return client, id, stop
}

// told is what the next push that the endpoint accepts says.
type told struct {
	Type                string
	UIDValidity, Cursor uint32
	Subjects            []string
}

func (w *world) told() told {
	w.t.Helper()
	push := receive(w.t, "push", w.hook.got)
	for push.refused {
		push = receive(w.t, "push", w.hook.got)
	}
	data := push.body.Data
	out := told{Type: push.body.Type, UIDValidity: data.UIDValidity, Cursor: data.Cursor}
	for _, event := range data.Events {
		out.Subjects = append(out.Subjects, event.Subject)
	}
	return out
}

// tells waits for the next push that the endpoint accepts; its UIDVALIDITY may be any.
func (w *world) tells(kind string, cursor uint32, subjects ...string) (uidValidity uint32) {
	w.t.Helper()
	got := w.told()
	if diff := cmp.Diff(told{kind, got.UIDValidity, cursor, subjects}, got); diff != "" {
		w.t.Fatalf("push (-want +got):\n%s", diff)
	}
	return got.UIDValidity
}

// stored waits until the cursor is stored, and finds that nothing was pushed meanwhile
// that nobody has looked at.
func (w *world) stored(uid uint32) (uidValidity uint32) {
	w.t.Helper()
	cursor := receive(w.t, "commit", w.registry.committed).GetCursor()
	for cursor.GetUid() != uid {
		cursor = receive(w.t, "commit", w.registry.committed).GetCursor()
	}
	for range len(w.hook.got) {
		if push := <-w.hook.got; !push.refused {
			w.t.Errorf("pushed as well: %+v", push)
		}
	}
	return cursor.GetUidValidity()
}

// vanished is the metric of mails that were gone before they were pushed.
func (w *world) vanished() float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "mailpush_worker_vanished_total" {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	w.t.Fatal("nobody counts what has vanished")
	return 0
}

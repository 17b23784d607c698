// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
	"time"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	"mailpush.internal/trials/internal/rig"
)

// withoutWorkers starts a mailpush that workers of the test's own join.
func withoutWorkers(t *testing.T, o rig.Options) *rig.Mailpush {
	t.Helper()
	o.Dir, o.Programs = t.TempDir(), build(t)
	o.Services = []string{identity.Vault, identity.Admin, identity.Scheduler}
	mailpush, err := rig.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mailpush.Close(); err != nil {
			t.Error(err)
		}
	})
	return mailpush
}

// startWorker starts a worker that ends with the test, before what it leans on.
func startWorker(t *testing.T, mailpush *rig.Mailpush, name string, set ...string) *proctest.Process {
	t.Helper()
	worker, err := mailpush.StartWorker(name, set...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		worker.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, worker.Log())
		}
	})
	return worker
}

func startOdd(t *testing.T, odd imaptest.Odd) *imaptest.OddServer {
	t.Helper()
	server, err := imaptest.NewOdd(odd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("what was said at %s:\n%s", server.Addr(), server.Transcript())
		}
	})
	return server
}

// subscribe subscribes a mailbox, and waits until it is the only one and listened to. The
// workers may have only just started.
func subscribe(t *testing.T, mailpush *rig.Mailpush, box string, sink *pushtest.Receiver) {
	t.Helper()
	await(t, "a subscription", startTimeout, func(ctx context.Context) error {
		return mailpush.Subscribe(ctx, box, sink.URL())
	})
	if err := mailpush.AwaitIdle(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// awaitPush waits for the push of a mail to the path of its mailbox.
func awaitPush(t *testing.T, sink *pushtest.Receiver, box, subject string, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if _, err := sink.Next(ctx, pushtest.To(box), pushtest.About(subject)); err != nil {
		t.Fatalf("the mail %q to %s: %v", subject, box, err)
	}
}

// subjects are those of the mails that were pushed for a mailbox, in the order of the
// pushes.
func subjects(sink *pushtest.Receiver, box string) []string {
	var all []string
	for _, push := range sink.All(pushtest.To(box), pushtest.OfType(pushtest.TypeNewMail)) {
		for _, event := range push.Data.Events {
			all = append(all, event.Subject)
		}
	}
	return all
}

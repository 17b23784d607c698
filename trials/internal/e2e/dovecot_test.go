// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/trials/internal/rig"
)

// telling is a private Dovecot that tells of new mail, and where it does.
type telling struct {
	*dovecottest.Server

	notify string // address
	store  rig.Store
}

func startTelling(t *testing.T) *telling {
	t.Helper()
	free, err := proctest.FreeAddresses(t.Context(), "127.0.0.2", 1)
	if err != nil {
		t.Fatal(err)
	}
	d := &telling{notify: free[0]}
	d.Server = dovecottest.StartWith(t, dovecottest.Options{
		NotifyURL: "http://dovecot:" + rig.Password + "@" + d.notify + "/preliminary/http-notify/v1/notify",
	})
	key := filepath.Join(t.TempDir(), "doveadm.key")
	if err := os.WriteFile(key, []byte(d.DoveadmKey().Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.store = rig.Store{Address: d.Addr(), Backend: "dovecot", DoveadmURL: d.DoveadmURL(), DoveadmKeyFile: key}
	return d
}

// told are the settings of the worker that Dovecot tells.
func (d *telling) told() []string {
	return []string{"worker.notify.listen=" + d.notify, "worker.notify.username=dovecot", "worker.notify.password=" + rig.Password}
}

// deliver delivers mails with the subjects, in order.
func (d *telling) deliver(t *testing.T, box string, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		if err := d.Deliver(box, []byte("Subject: "+subject+"\r\n\r\nHello.\r\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// unregister takes a mailbox's registration away, as somebody else might.
func (d *telling) unregister(t *testing.T, box string) {
	t.Helper()
	body := fmt.Sprintf(`[["mailboxMetadataUnset",{"user":%q,"mailbox":"","allowEmptyMailboxName":true,`+
		`"key":"/private/vendor/vendor.dovecot/http-notify"},"t"]]`, box)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.DoveadmURL(), bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "X-Dovecot-API "+base64.StdEncoding.EncodeToString([]byte(d.DoveadmKey().Reveal())))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Fatalf("doveadm answers %s", response.Status)
	}
}

// Without a connection and without a password, mail that Dovecot tells of is pushed at once,
// by whichever worker owns the mailbox; by the next one when that is killed; and late, but
// pushed, when Dovecot tells nobody.
func TestDovecotTellsOfMail(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Dovecot: run make test") //nolint:forbidigo // only with -short
	}
	const box = "anna"
	dovecot := startTelling(t)
	if err := dovecot.AddUser(box, mailPassword); err != nil {
		t.Fatal(err)
	}
	mailpush := withoutWorkers(t, rig.Options{
		Store: dovecot.store, Set: []string{"cluster.leaseTTL=2s", "log.level=info", "worker.backends=[dovecot]", "push.credstorage.enabled=false"},
	})
	workers := []*proctest.Process{
		startWorker(t, mailpush, "worker-1", dovecot.told()...), startWorker(t, mailpush, "worker-2"),
	}
	awaitWorkers(t, mailpush, len(workers))
	sink := pushtest.Start(t)
	await(t, "a subscription", startTimeout, func(ctx context.Context) error { return mailpush.Subscribe(ctx, box, sink.URL()) })
	awaitWaiting(t, mailpush, 1)

	want := []string{"first", "second", "third"}
	began := time.Now()
	dovecot.deliver(t, box, want...)
	for _, subject := range want {
		awaitPush(t, sink, box, subject, pushTimeout)
	}
	t.Logf("three mails were delivered and pushed within %s", time.Since(began))
	explained(t, mailpush, box, "announcing", "notifications", "answering")

	if owner := ownerOf(t, mailpush, workers); owner == workers[1] { // the other one is told, and must live
		owner.Kill()
	}
	dovecot.deliver(t, box, "while the owner is dead")
	awaitPush(t, sink, box, "while the owner is dead", pushTimeout)

	dovecot.unregister(t, box)
	dovecot.deliver(t, box, "of which nobody is told")
	awaitPush(t, sink, box, "of which nobody is told", pushTimeout)
	expectInOrder(t, sink, box, append(want, "while the owner is dead", "of which nobody is told"))
}

// A mail store whose backend is changed in the configuration has its mailboxes moved from
// the listeners of the one to those of the other, without a mail that is lost or doubled.
func TestMoveFromIMAPIdleToDovecot(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Dovecot: run make test") //nolint:forbidigo // only with -short
	}
	const box = "anna"
	dovecot := startTelling(t)
	if err := dovecot.AddUser(box, rig.Password); err != nil {
		t.Fatal(err)
	}
	mailpush := withoutWorkers(t, rig.Options{
		Store: rig.Store{Address: dovecot.Addr()}, Set: []string{"log.level=info", "worker.backends=[imapidle, dovecot]"},
	})
	moved := fmt.Sprintf("mail.stores={bench: {address: '%s', tls: none, backend: dovecot, doveadm: {url: '%s', apiKeyFile: '%s'}}}",
		dovecot.Addr(), dovecot.DoveadmURL(), dovecot.store.DoveadmKeyFile)
	startWorker(t, mailpush, "worker-1", append(dovecot.told(), moved)...)
	startWorker(t, mailpush, "worker-2", moved)
	awaitWorkers(t, mailpush, 2)
	sink := pushtest.Start(t)
	subscribe(t, mailpush, box, sink)

	var want []string
	deliver := func(stage string) {
		for i := range 5 {
			want = append(want, fmt.Sprintf("%s %d", stage, i))
			dovecot.deliver(t, box, want[len(want)-1])
		}
	}
	deliver("in IDLE")
	awaitPush(t, sink, box, want[len(want)-1], pushTimeout)
	if err := mailpush.Restart(t.Context(), identity.Admin, moved); err != nil {
		t.Fatal(err)
	}
	deliver("while it moves")
	awaitWaiting(t, mailpush, 1)
	deliver("told")
	awaitPush(t, sink, box, want[len(want)-1], pushTimeout)
	if got := subjects(sink, box); !slices.Equal(got, want) {
		t.Errorf("pushed %q, want %q", got, want)
	}
}

func awaitWaiting(t *testing.T, mailpush *rig.Mailpush, n int) {
	t.Helper()
	if err := mailpush.AwaitState(t.Context(), mailv1.ListenerState_LISTENER_STATE_WAITING, n); err != nil {
		t.Fatal(err)
	}
}

// explained expects that explain finds the named steps well.
func explained(t *testing.T, mailpush *rig.Mailpush, box string, checks ...string) {
	t.Helper()
	answer, err := mailpush.Admin.Explain(t.Context(), connect.NewRequest(&adminv1.ExplainRequest{ContextId: "1", UserId: box}))
	if err != nil {
		t.Fatal(err)
	}
	well := make(map[string]bool)
	for _, step := range answer.Msg.GetSteps() {
		well[step.GetCheck()] = step.GetOk()
	}
	for _, check := range checks {
		if !well[check] {
			t.Errorf("%s is not well: %s", check, answer.Msg)
		}
	}
}

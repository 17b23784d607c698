// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
)

const pushTimeout = 30 * time.Second

// One mail, delivered to a real Dovecot by LMTP, arrives as exactly one signed push
// through six processes; the leader's death is not noticed; the last client's
// unregistering stops the listener.
func TestOneMailAllTheWay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Dovecot and PostgreSQL: run make test") //nolint:forbidigo // only with -short
	}
	d := deploy(t)
	sink := receiver{pushtest.Start(t)}
	if err := d.dovecot.AddUser("anna", mailPassword); err != nil {
		t.Fatal(err)
	}

	secret := d.subscribe(t, sink.URL()+"/push")
	d.awaitTable(t, "Context  User  Permanent\n      1  249   true\n")
	sink.expectPing(t, secret)

	d.deliver(t, "first")
	sink.expect(t, secret, "first")
	d.deliver(t, "second")
	sink.expect(t, secret, "second")

	d.killLeader(t)
	d.deliver(t, "third")
	sink.expect(t, secret, "third")
	d.awaitTable(t, "Context  User  Permanent\n      1  249   true\n")

	d.unregister(t)
	sink.expectEnding(t, secret)
	for _, p := range append(append(d.workers, d.admin, d.vault), d.liveSchedulers()...) {
		stop(t, p)
	}
	// In order per mailbox, so a doubled push would have come before the last one
	// or by now: everything has stopped.
	if got := len(sink.All()); got != 1+3+1 {
		t.Errorf("the webhook got %d requests for a ping, 3 mails and the end", got)
	}
	d.expectNoSecrets(t, secret)
}

// subscribe subscribes 249@1 over plain JSON and returns the signing secret.
func (d *deployment) subscribe(t *testing.T, url string) string {
	t.Helper()
	request := fmt.Sprintf(`{"contextId":"1","userId":"249","clientId":"open-xchange-mobile-api-facade","topics":["mail:new"],
		"account":{"mailStore":"main","login":"anna","password":%q},"webhook":{"url":%q}}`, mailPassword, url)
	var answer struct {
		SubscriptionID, Reason, WebhookSecret, Code, Message string
		Permanent                                            bool
	}
	// The workers are ready before the scheduler has told admin-api of them.
	await(t, "Subscribe", startTimeout, func(ctx context.Context) error {
		status, err := d.call(ctx, "mailpush.push.v1.PushService/Subscribe", adminPassword, request, &answer)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s: %s", status, answer.Code, answer.Message)
		}
		return err
	})
	if !answer.Permanent || answer.Reason != "" || answer.SubscriptionID == "" || answer.WebhookSecret == "" {
		t.Fatalf("Subscribe answered %+v", answer)
	}
	return answer.WebhookSecret
}

func (d *deployment) deliver(t *testing.T, subject string) {
	t.Helper()
	mail := "From: Zoe <zoe@example.org>\r\nTo: anna@example.org\r\nSubject: " + subject + "\r\n\r\nHello.\r\n"
	if err := d.dovecot.Deliver("anna", []byte(mail)); err != nil {
		t.Fatalf("delivering %q: %v", subject, err)
	}
}

func (d *deployment) awaitTable(t *testing.T, want string) {
	t.Helper()
	await(t, "the pushusers table", pushTimeout, func(context.Context) error {
		if got, code := d.pushUsers(t); code != 0 || got != want {
			return fmt.Errorf("exit code %d:\n%s", code, got)
		}
		return nil
	})
}

// killLeader ends the leading scheduler without warning and waits for the other one.
func (d *deployment) killLeader(t *testing.T) {
	t.Helper()
	leader := d.leader(t, "")
	for i, p := range d.schedulers {
		if leader == fmt.Sprintf("scheduler-%d", i+1) {
			p.Kill()
			d.schedulers[i] = nil
		}
	}
	d.leader(t, leader)
}

// leader waits until there is a leader other than the one before.
func (d *deployment) leader(t *testing.T, before string) string {
	t.Helper()
	var answer struct{ Leader string }
	await(t, "a leader", startTimeout, func(ctx context.Context) error {
		_, err := d.call(ctx, "mailpush.admin.v1.AdminService/ListWorkers", adminPassword, `{}`, &answer)
		if err == nil && (answer.Leader == "" || answer.Leader == before) {
			err = fmt.Errorf("the leader is %q", answer.Leader)
		}
		return err
	})
	return answer.Leader
}

func (d *deployment) liveSchedulers() []*proctest.Process {
	var live []*proctest.Process
	for _, p := range d.schedulers {
		if p != nil {
			live = append(live, p)
		}
	}
	return live
}

// unregister removes the last client; the list shows it within 2 s, the credential
// and the signing secret are gone.
func (d *deployment) unregister(t *testing.T) {
	t.Helper()
	const client = "open-xchange-mobile-api-facade"
	args := []string{"--unregister", "--context", "1", "--user", "249", "--client", client}
	out, code := d.pushUsers(t, args...)
	want := "Push registration successfully deleted for user 249 in context 1 for client '" + client + "'\n"
	if code != 0 || out != want {
		t.Errorf("pushusers -r: exit code %d: %q, want %q", code, out, want)
	}
	await(t, "an empty list", 2*time.Second, func(context.Context) error {
		if got, code := d.pushUsers(t); code != 0 || got != "No running push users.\n" {
			return fmt.Errorf("exit code %d: %s", code, got)
		}
		return nil
	})
	if out, code := d.pushUsers(t, args...); code != 2 {
		t.Errorf("pushusers -r again: exit code %d: %s, want 2", code, out)
	}
	if got := d.query(t, "vault-database", "SELECT count(*) FROM vault_credentials"); got != "0" {
		t.Errorf("the vault still holds %s credentials", got)
	}
}

// query asks one of the databases with PostgreSQL's own client.
func (d *deployment) query(t *testing.T, file, sql string) string {
	t.Helper()
	out, err := psql(t, d.read(t, file), "-c", sql)
	if err != nil {
		t.Fatalf("asking %s: %v\n%s", file, err, out)
	}
	return out
}

// expectNoSecrets looks for the mail password and the signing secret where they
// must never be.
func (d *deployment) expectNoSecrets(t *testing.T, webhookSecret string) {
	t.Helper()
	logs := map[string]string{}
	for _, p := range append(append(d.workers, d.admin, d.vault), d.liveSchedulers()...) {
		logs[p.Name()] = p.Log()
	}
	for _, file := range []string{"vault-database", "registry-database"} {
		dump, err := exec.CommandContext(t.Context(), "pg_dump", "--inserts", d.read(t, file)).Output()
		if err != nil {
			t.Fatalf("dumping %s: %v", file, err)
		}
		logs[file] = string(dump)
	}
	for name, text := range logs {
		if len(text) == 0 {
			t.Errorf("%s is empty: nothing was looked at", name)
		}
		for _, secret := range []string{mailPassword, adminPassword, webhookSecret, strings.TrimPrefix(webhookSecret, "whsec_")} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret in clear", name)
			}
		}
	}
}

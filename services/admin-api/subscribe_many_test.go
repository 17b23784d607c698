// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

// rows is a page of the users, each with the fields of a subscription that it changes.
func rows(start string, list ...string) string {
	return `{"start":"` + start + `","rows":[` + strings.Join(list, ",") + `]}`
}

func rowOf(user string, edits ...string) string {
	body := strings.NewReplacer(edits...).Replace(strings.Replace(subscribe, `"249"`, `"`+user+`"`, 1))
	return `{"subscription":` + body + `}`
}

// Each row is held to what Subscribe is held to, and refused in the same words.
func TestSubscribeManyAnswersForEachRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	got := w.post(asApp, pushPath+"SubscribeMany", rows("FIRST_LOOK",
		rowOf("1"),
		rowOf("2 2"),
		rowOf("3", `"1"`, `"2"`),
		rowOf("4", "https:", "http:"),
		rowOf("5", `"demo"`, `"x"`),
		`{}`,
		strings.Replace(rowOf("7"), `{"subscription"`, `{"cursor":{"folder":"Sent","uidValidity":7,"uid":3},"subscription"`, 1),
		strings.Replace(rowOf("8"), `{"subscription"`, `{"cursor":{"folder":"INBOX","uidValidity":7,"uid":3},"subscription"`, 1),
		rowOf("1"),
	))
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.text)
	}
	for i, want := range []string{
		"", "invalid_argument userId: must be 1 to 254 characters", "permission_denied contextId: ",
		"invalid_argument webhook.url: must be https", `invalid_argument account.mailStore: no such mail store "x"`,
		"invalid_argument subscription: is required", "invalid_argument cursor.folder: must be INBOX", "", "",
	} {
		said := got.str("results", i, "code") + " " + got.str("results", i, "message")
		stored := got.at("results", i, "subscription", "permanent") == true
		if stored != (want == "") || want != "" && !strings.HasPrefix(said, want) {
			t.Errorf("row %d: stored %v, said %q", i, stored, said)
		}
	}
	if first, again := got.str("results", 0, "subscription", "subscriptionId"), got.str("results", 8, "subscription", "subscriptionId"); first == "" || again != first {
		t.Errorf("the same row twice: %q and %q", first, again)
	}
	if w.vault.accounts() != 4 || len(w.worker.requests()) != 0 {
		t.Errorf("%d accounts, %d mailboxes opened", w.vault.accounts(), len(w.worker.requests()))
	}
	listed := w.post(asApp, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"8"}`)
	if listed.at("subscriptions", 0, "cursors", 0, "uid") != float64(3) {
		t.Errorf("the cursor that was given: %s", listed.text)
	}
	if w.counted("mailpush_admin_subscribe_total") != 9 {
		t.Errorf("counted %v rows", w.counted("mailpush_admin_subscribe_total"))
	}
}

func TestSubscribeManyRefusesWhatIsNoPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	many := make([]string, 501)
	for i := range many {
		many[i] = `{}`
	}
	for name, tt := range map[string]struct {
		auth, body string
		status     int
		want       string
	}{
		"nobody":        {"", rows("ANSWER", rowOf("1")), 401, "unauthenticated"},
		"no rows":       {asApp, rows("ANSWER"), 400, "rows: "},
		"too many":      {asApp, rows("ANSWER", many...), 400, "rows: "},
		"unknown field": {asApp, rows("ANSWER", rowOf("1"), rowOf("2", `"topics"`, `"topic":1,"topics"`)), 400, "rows[1].subscription.topic: unknown field"},
		"unknown start": {asApp, rows("NOW", rowOf("1")), 400, "start: "},
		"too large":     {asApp, rows("ANSWER", rowOf(strings.Repeat("1", 1<<20))), 413, "resource_exhausted"},
	} {
		if got := w.post(tt.auth, pushPath+"SubscribeMany", tt.body); got.status != tt.status || !strings.Contains(got.text, tt.want) {
			t.Errorf("%s: %d %.300s", name, got.status, got.text)
		}
	}
	if w.vault.accounts() != 0 {
		t.Error("something was sealed")
	}
}

// With workers and a vault of this release, and of the one before, which know no call for
// many: what a page comes to is the same.
func TestSubscribeManyOpensMailboxes(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		w := newWorld(t, nil)
		w.vault.early, w.worker.early = early, early
		var list []string
		for i := range 20 {
			list = append(list, rowOf(fmt.Sprint("many-", i)))
		}
		page := rows("ANSWER", list...)
		got := w.post(asApp, pushPath+"SubscribeMany", page)
		for i := range list {
			if got.at("results", i, "subscription", "permanent") != true {
				t.Fatalf("early %v: %s", early, got.text)
			}
		}
		if len(w.worker.requests()) != len(list) || w.vault.accounts() != 2*len(list) {
			t.Errorf("early %v: %d mailboxes opened, %d accounts", early, len(w.worker.requests()), w.vault.accounts())
		}
		w.worker.set(connect.NewError(connect.CodeUnauthenticated, errors.New("mail store demo: login refused")))
		got = w.post(asApp, pushPath+"SubscribeMany", page)
		for i := range list {
			if got.str("results", i, "code") != "failed_precondition" || !strings.HasPrefix(got.str("results", i, "message"), "account: mail store demo: login refused") {
				t.Errorf("early %v: a login that is refused in place of another: %s", early, got.text)
				break
			}
		}
	}
}

// A vault that is away fails each row, and is one line in the log.
func TestSubscribeManyWithoutAVault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.VaultAddrs = []string{"127.0.0.1:1"} })
	got := w.post(asApp, pushPath+"SubscribeMany", rows("FIRST_LOOK", rowOf("1"), rowOf("2"), rowOf("3")))
	for i := range 3 {
		if got.str("results", i, "code") != "unavailable" || got.str("results", i, "message") != "the credential vault does not answer; try again" {
			t.Errorf("row %d: %s", i, got.text)
		}
	}
	if n := strings.Count(w.log.String(), "subscriptions could not be stored"); n != 1 || !strings.Contains(w.log.String(), "rows=3 of=3") {
		t.Errorf("%d lines in the log", n)
	}
	if listed := w.post(asAdmin, adminURL+"ListSubscriptions", `{}`); listed.at("subscriptions", 0) != nil {
		t.Errorf("stored: %s", listed.text)
	}
}

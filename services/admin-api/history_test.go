// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/identity"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

const theUser = `{"contextId":"1","userId":"249"}`

// history is what has happened to the one user, the oldest first, as kind, by whom, why.
func (w *world) history() (out []string) {
	w.t.Helper()
	token := ""
	for {
		got := w.post(asAdmin, adminURL+"ListHistory", `{"contextId":"1","userId":"249","pageSize":3,"pageToken":"`+token+`"}`)
		if got.status != 200 {
			w.t.Fatalf("ListHistory: %d %s", got.status, got.text)
		}
		entries, _ := got.at("entries").([]any)
		for i := range entries {
			kind := strings.TrimPrefix(got.str("entries", i, "kind"), "HISTORY_KIND_")
			by := strings.TrimPrefix(got.str("entries", i, "actor", "kind"), "ACTOR_KIND_")
			out = append(out, strings.Join([]string{kind, by, got.str("entries", i, "actor", "name"), got.str("entries", i, "reason")}, " "))
		}
		if token = got.str("nextPageToken"); token == "" {
			slices.Reverse(out)
			return out
		}
	}
}

// What a user goes through is told afterwards, by whom and why, and nothing that is secret.
func TestHistoryOfOneUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if got := w.post(asAdmin, adminURL+"ListHistory", theUser); got.status != 404 || !strings.Contains(got.text, "nothing is known of user 249@1") {
		t.Errorf("of a user who never was: %d %s", got.status, got.text)
	}
	id := w.subscribed(subscribe)
	if got := w.report(&registryv1.EndpointReport{SubscriptionId: id, Outcome: registryv1.EndpointOutcome_ENDPOINT_OUTCOME_CONFIRMED}); got != "KEPT" {
		t.Fatalf("confirmed: %s", got)
	}
	w.commitReset(id)
	if _, err := w.registry(identity.Worker).SuspendCredential(t.Context(), connect.NewRequest(&registryv1.SuspendCredentialRequest{
		Claim: mine(), User: &mailv1.User{ContextId: "1", UserId: "249"}, CredentialVersion: 1 << 20, Reason: "login refused",
	})); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"contextId":"1","userId":"249","reason":"moving"}`, theUser} {
		if got := w.post(asAdmin, adminURL+"DisableUser", body); got.status != 200 {
			t.Fatalf("DisableUser: %d %s", got.status, got.text)
		}
	}
	if got := w.post(asApp, pushPath+"Subscribe", subscribe); got.body["permanent"] != false || got.str("reason") != "the user is disabled: moving" {
		t.Errorf("Subscribe of a disabled user: %d %s", got.status, got.text)
	}
	w.post(asAdmin, adminURL+"EnableUser", theUser)
	w.post(asApp, pushPath+"Unsubscribe", `{"subscriptionId":"`+id+`"}`)

	got := w.history()
	want := []string{
		"SUBSCRIBED APPLICATION app pushes go to https://hook.example:443",
		"ENDPOINT_CONFIRMED SYSTEM  https://hook.example:443",
		"MAILBOX_RESET SYSTEM  INBOX: UIDVALIDITY 7 became 9, pushes go on after UID 30",
		"DEAD_LETTERS SYSTEM  UID 7 of INBOX: 413",
		"LOGIN_SUSPENDED SYSTEM  login refused",
		"USER_DISABLED ADMINISTRATOR root moving",
		"LOGIN_CHANGED APPLICATION app was suspended: login refused",
		"USER_ENABLED ADMINISTRATOR root was disabled: moving",
		"SUBSCRIPTION_ENDED APPLICATION app unsubscribed",
		"USER_REMOVED APPLICATION app nothing is registered any more",
	}
	if len(got) == len(want) { // those of one commit are of one moment
		slices.Sort(got[2:4])
		slices.Sort(want[2:4])
	}
	if !slices.Equal(want, got) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	const again = 2 // what the second of the two commits has told once more
	if log := w.log.String(); strings.Count(log, `"happened to a user"`) != len(want)+again || !strings.Contains(log, "what=user_disabled user=249@1") {
		t.Errorf("the log has not %d lines: %s", len(want)+again, log)
	}
	late := w.post(asAdmin, adminURL+"ListHistory", `{"contextId":"1","userId":"249","since":"2999-01-01T00:00:00Z"}`)
	if entries, _ := late.at("entries").([]any); late.status != 200 || len(entries) != 0 {
		t.Errorf("since a time to come: %d %s", late.status, late.text)
	}
}

// commitReset has a worker commit what follows a mailbox:reset, twice.
func (w *world) commitReset(id string) {
	w.t.Helper()
	for range 2 {
		_, err := w.registry(identity.Worker).CommitCursors(w.t.Context(), connect.NewRequest(&registryv1.CommitCursorsRequest{
			Shards: []*registryv1.ShardCursors{{
				Claim: mine(),
				Cursors: []*registryv1.SubscriptionCursor{{
					SubscriptionId: id, Cursor: &mailv1.Cursor{Folder: "INBOX", UidValidity: 9, Uid: 30},
					ResetFrom: &registryv1.ResetFrom{UidValidity: 7, Uid: 100},
				}},
				DeadLetters: []*registryv1.DeadLetter{{
					SubscriptionId: id, Folder: "INBOX", UidValidity: 7, FirstUid: 7, LastUid: 7, Reason: "413", At: timestamppb.Now(),
				}},
			}},
		}))
		check(w.t, err)
	}
}

func TestUsersAreShownDisabledAndEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.subscribed(subscribe)
	changes := w.cluster.Changes(t.Context(), "imapidle")
	for _, step := range []struct {
		call, body string
		already    bool
	}{
		{"DisableUser", `{"contextId":"1","userId":"249","reason":"moving"}`, false},
		{"DisableUser", theUser, true},
		{"EnableUser", theUser, false},
		{"EnableUser", theUser, true},
	} {
		if got := w.post(asAdmin, adminURL+step.call, step.body); got.status != 200 || got.body["already"] != step.already {
			t.Errorf("%s: %d %s", step.call, got.status, got.text)
		}
		if touched := <-changes; touched.Shard.Number != mine().GetShard() {
			t.Errorf("%s: touched %v", step.call, touched)
		}
		shown := w.post(asAdmin, adminURL+"GetUser", theUser)
		disabled := step.call == "DisableUser"
		if shown.at("user", "enabled") != !disabled || (w.listed() == nil) != disabled ||
			disabled && (shown.str("user", "disabledReason") != "moving" || shown.str("user", "disabledBy", "name") != "root" || shown.str("user", "disabledAt") == "") {
			t.Errorf("%s: shown %s, listed %v", step.call, shown.text, w.listed())
		}
		if shown.str("user", "mailStore") != "demo" || shown.str("user", "credentialState") != "CREDENTIAL_STATE_STORED" ||
			shown.str("user", "credentialKind") != "password" || shown.at("user", "subscriptions") != 1.0 || shown.str("user", "clientIds", 0) != "mobile" {
			t.Errorf("shown %s", shown.text)
		}
	}
	for _, call := range []string{"GetUser", "DisableUser", "EnableUser", "ListHistory"} {
		if got := w.post(asAdmin, adminURL+call, `{"contextId":"1","userId":"250"}`); got.status != 404 || !strings.Contains(got.text, "250@1") {
			t.Errorf("%s of nobody: %d %s", call, got.status, got.text)
		}
		if got := w.post(asAdmin, adminURL+call, `{"contextId":"1"}`); got.status != 400 || !strings.Contains(got.text, "userId: ") {
			t.Errorf("%s of no name: %d %s", call, got.status, got.text)
		}
		if got := w.post(asApp, adminURL+call, theUser); got.status != 403 {
			t.Errorf("%s by an application: %d %s", call, got.status, got.text)
		}
	}
	for name, body := range map[string]string{
		"pageToken: ": `{"contextId":"1","userId":"249","pageToken":"ZCAxIHg"}`, // of another listing
		"pageSize: ":  `{"contextId":"1","userId":"249","pageSize":-1}`,
		"since: ":     `{"contextId":"1","userId":"249","since":"yesterday"}`,
	} {
		if got := w.post(asAdmin, adminURL+"ListHistory", body); got.status != 400 || !strings.Contains(got.text, name) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	long := strings.Repeat("x", 401)
	if got := w.post(asAdmin, adminURL+"DisableUser", `{"contextId":"1","userId":"249","reason":"`+long+`"}`); got.status != 400 || !strings.Contains(got.text, "reason: ") {
		t.Errorf("a long reason: %d %s", got.status, got.text)
	}
}

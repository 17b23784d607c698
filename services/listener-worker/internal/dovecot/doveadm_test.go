// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const patience = time.Minute

// doveadm asks for one thing, in words of its own, and returns the rows.
func doveadm(t *testing.T, w *world, name string, given map[string]any) []map[string]string {
	t.Helper()
	body, err := json.Marshal([][3]any{{name, given, "t"}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.DoveadmURL(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "X-Dovecot-API "+base64.StdEncoding.EncodeToString([]byte(w.server.DoveadmKey().Reveal())))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // all of it is read
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answers [][]json.RawMessage
	var rows []map[string]string
	if err := json.Unmarshal(raw, &answers); err != nil || len(answers) != 1 || string(answers[0][0]) != `"doveadmResponse"` {
		t.Fatalf("%s %v: %s", name, given, raw)
	}
	if err := json.Unmarshal(answers[0][1], &rows); err != nil {
		t.Fatalf("%s %v: %s", name, given, raw)
	}
	return rows
}

func expunge(t *testing.T, w *world, of mailbox.Listening, uids string) {
	t.Helper()
	doveadm(t, w, "expunge", map[string]any{"user": of.User.ID, "query": []string{"mailbox", "INBOX", "uid", uids}})
}

func about(of mailbox.Listening) map[string]any {
	return map[string]any{
		"user": of.User.ID, "mailbox": "", "allowEmptyMailboxName": true, "key": "/private/vendor/vendor.dovecot/http-notify",
	}
}

func annotate(t *testing.T, w *world, of mailbox.Listening, value string) {
	t.Helper()
	given := about(of)
	given["value"] = value
	doveadm(t, w, "mailboxMetadataSet", given)
}

func annotated(t *testing.T, w *world, of mailbox.Listening) string {
	t.Helper()
	rows := doveadm(t, w, "mailboxMetadataGet", about(of))
	if len(rows) != 1 {
		t.Fatalf("rows %v", rows)
	}
	return strings.TrimSpace(rows[0]["value"])
}

// eventually waits for a condition that nobody tells of.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-giveUp:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

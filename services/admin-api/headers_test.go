// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withWebhook is subscribe with more said of the webhook.
func withWebhook(more string) string { return strings.Replace(subscribe, `"url"`, more+`,"url"`, 1) }

func TestHeadersAreSealedAndListedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(withWebhook(`"headers":{"x-key":"hidden-k","Authorization":"Bearer hidden-t"}`))
	slot := w.listed().GetHeaderSlot()
	if got, want := w.vault.headers("249", id, slot), "https://hook.example:443 Authorization=Bearer hidden-t X-Key=hidden-k"; got != want {
		t.Errorf("sealed %q, want %q", got, want)
	}
	for call, auth := range map[string]string{pushPath: asApp, adminURL: asAdmin} {
		got := w.post(auth, call+"ListSubscriptions", `{"contextId":"1","userId":"249"}`)
		if diff := cmp.Diff([]any{"Authorization", "X-Key"}, got.at("subscriptions", 0, "webhookHeaderNames")); diff != "" || strings.Contains(got.text, "hidden") {
			t.Errorf("%s: %s", call, got.text)
		}
	}
	if got := w.post(asAdmin, adminURL+"TestSubscription", `{"subscriptionId":"`+id+`"}`); !strings.Contains(got.str("detail"), "headers true") {
		t.Errorf("tested: %s", got.text)
	}

	// A renewed Subscribe: without, with others, with none.
	for _, c := range []struct{ webhook, want string }{
		{`"headers":{}`, "https://hook.example:443 Authorization=Bearer hidden-t X-Key=hidden-k"},
		{`"headers":{"X-Other":"hidden-o"}`, "https://hook.example:443 X-Other=hidden-o"},
		{`"clearHeaders":true`, ""},
		{`"clearHeaders":true`, ""},
	} {
		before := w.listed()
		if got := w.subscribed(withWebhook(c.webhook)); got != id {
			t.Errorf("%s: subscribed as %s", c.webhook, got)
		}
		now := w.listed()
		if got := w.vault.headers("249", id, now.GetHeaderSlot()); got != c.want || (now.GetHeaderSlot() == 0) != (c.want == "") {
			t.Errorf("%s: sealed %q, want %q", c.webhook, got, c.want)
		}
		if now.GetSecretSlot() != before.GetSecretSlot() || now.GetRevision() != before.GetRevision()+1 {
			t.Errorf("%s: listed %v, before %v", c.webhook, now, before)
		}
	}
	raw, err := os.ReadFile(w.database)
	check(t, err)
	wal, err := os.ReadFile(w.database + "-wal")
	check(t, err)
	if text := string(raw) + string(wal); strings.Contains(text+w.log.String(), "hidden") || !strings.Contains(text, "X-Other") {
		t.Error("a value is in the registry's database or in the log, or no name is found")
	}
	w.post(asApp, pushPath+"Unsubscribe", `{"subscriptionId":"`+id+`"}`)
}

func TestHeadersThatCannotBeAreRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for webhook, want := range map[string]string{
		`"headers":{"Host":"hidden"}`:                                 `webhook.headers[\"Host\"]: must not be set`,
		`"headers":{"X-Key":"hidden\r\nX: y"}`:                        `webhook.headers[\"X-Key\"]: must not hold a line break`,
		`"headers":{"X-Key":"hiddenü"}`:                               `webhook.headers[\"X-Key\"]: must be ASCII`,
		`"headers":{"X Key":"hidden"}`:                                `webhook.headers[\"X Key\"]: is no name of a header`,
		`"headers":{"X-Key":""}`:                                      `webhook.headers[\"X-Key\"]: must not be empty`,
		`"headers":{"X-Key":"hidden","x-key":"hidden"}`:               `webhook.headers[\"x-key\"]: is the same header as \"X-Key\"`,
		`"headers":{"X-Key":"` + strings.Repeat("hidden", 999) + `"}`: `webhook.headers[\"X-Key\"]: must be at most 4096 bytes`,
		`"headers":{"X-Key":"hidden"},"clearHeaders":true`:            `webhook.clearHeaders: must be left out`,
		`"headers":["X-Key: hidden"]`:                                 `invalid_argument`,
	} {
		got := w.post(asApp, pushPath+"Subscribe", withWebhook(webhook))
		if got.status != 400 || !strings.Contains(got.text, want) || strings.Contains(got.text, "hidden") {
			t.Errorf("%.60s: %d %s", webhook, got.status, got.text)
		}
	}
	if w.vault.accounts() != 0 || strings.Contains(w.log.String(), "hidden") {
		t.Errorf("%d accounts in the vault; or a value is in the log", w.vault.accounts())
	}
}

// Another origin than the one they were given for must not get them by a change of the URL.
func TestHeadersDoNotFollowTheURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(withWebhook(`"headers":{"X-Key":"hidden"}`))
	moved := strings.Replace(subscribe, "hook.example", "other.example", 1)
	got := w.post(asApp, pushPath+"Subscribe", moved)
	if got.status != 400 || !strings.Contains(got.text, "webhook.headers: those that there are were given for https://hook.example:443") {
		t.Errorf("moved: %d %s", got.status, got.text)
	}
	if got := w.listed(); got.GetTarget().GetWebhook().GetUrl() != "https://hook.example/?token=t" || w.vault.headers("249", id, got.GetHeaderSlot()) == "" {
		t.Errorf("listed %v", got)
	}
}

// A vault of the release before cannot say what it has: then it has what was sealed.
func TestSecretIsKeptInAVaultOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.vault.early = true
	w.subscribed(subscribe)
	slot := w.listed().GetSecretSlot()
	again := w.post(asApp, pushPath+"Subscribe", subscribe)
	if again.status != 200 || again.at("webhookSecret") != nil || w.listed().GetSecretSlot() != slot {
		t.Errorf("subscribed again: %d %s", again.status, again.text)
	}
}

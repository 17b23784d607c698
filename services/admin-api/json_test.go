// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever reads JSON by hand looks for a field and finds it: false, 0 and empty are said.
func TestJSONSaysAllThereIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for call, want := range map[string]map[string]any{
		"ListPushUsers":           {"pushUsers": []any{}, "nextPageToken": ""},
		"ListClientRegistrations": {"registrations": []any{}, "nextPageToken": ""},
		"ListDeadLetters":         {"deadLetters": []any{}, "nextPageToken": ""},
	} {
		if diff := cmp.Diff(want, w.post(asAdmin, adminURL+call, `{}`).body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", call, diff)
		}
	}
	got := w.post(asAdmin, adminURL+"ListWorkers", `{}`)
	if got.at("workers", 0, "draining") != false || got.at("workers", 0, "listeners") != float64(0) || got.at("workers", 0, "startedAt") != nil {
		t.Errorf("ListWorkers: %s", got.text)
	}
	got = w.post(asAdmin, adminURL+"Explain", `{"contextId":"1","userId":"249"}`)
	if got.at("steps", 0, "ok") != false || got.str("steps", 0, "detail") == "" {
		t.Errorf("Explain: %s", got.text)
	}
	got = w.send(http.MethodPost, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`,
		map[string]string{"Authorization": asApp, "Content-Type": "application/json; charset=utf-8"})
	if diff := cmp.Diff(map[string]any{"subscriptions": []any{}}, got.body); diff != "" {
		t.Errorf("with a charset (-want +got):\n%s", diff)
	}
}

// Optional is what has no meaning when it is empty.
func TestOptionalFieldsAreLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AllowPermanentPush = false })
	got := w.post(asApp, pushPath+"Subscribe", strings.Replace(subscribe, `"url"`, `"signature":"SIGNATURE_V1A","url"`, 1))
	_, secret := got.body["webhookSecret"]
	if got.body["permanent"] != false || got.str("reason") == "" || !strings.HasPrefix(got.str("webhookPublicKey"), "whpk_") || secret {
		t.Errorf("Subscribe: %d %s", got.status, got.text)
	}
	rotated := w.post(asApp, pushPath+"RotateWebhookSecret", `{"subscriptionId":"`+got.str("subscriptionId")+`"}`)
	_, public := rotated.body["webhookPublicKey"]
	if !strings.HasPrefix(rotated.str("webhookSecret"), "whsec_") || public {
		t.Errorf("RotateWebhookSecret: %d %s", rotated.status, rotated.text)
	}
}

func TestUnknownProcedureIsUnimplemented(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, path := range []string{pushPath + "Watch", pushPath + "Sync", pushPath, adminURL + "Watch", "/mailpush.push.v2.PushService/Subscribe"} {
		got := w.post(asAdmin, path, `{}`)
		if got.status != 501 || got.body["code"] != "unimplemented" || got.body["message"] != "there is no procedure "+path ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	if got := w.counted("mailpush_admin_refused_total"); got != 5 {
		t.Errorf("counted %v", got)
	}
	// A stream ends with the error, whatever its status.
	got := w.send(http.MethodPost, pushPath+"Watch", "", map[string]string{"Authorization": asApp, "Content-Type": "application/connect+proto"})
	if got.status != 200 || !strings.Contains(got.text, `"unimplemented"`) || !strings.Contains(got.text, pushPath+"Watch") {
		t.Errorf("a stream: %d %q", got.status, got.text)
	}
	for auth, want := range map[string]int{"": 401, asApp: 403} {
		if got := w.post(auth, adminURL+"Watch", `{}`); got.status != want {
			t.Errorf("as %q: %d %s", auth, got.status, got.text)
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"strings"
	"testing"
)

func TestWorkerIsDrainedAndUndrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	listed := func() bool {
		t.Helper()
		got := w.post(asAdmin, adminURL+"ListWorkers", `{}`)
		draining, _ := got.at("workers", 0, "draining").(bool)
		return draining
	}
	for _, c := range []struct {
		call string
		want bool
	}{{"DrainWorker", true}, {"DrainWorker", true}, {"UndrainWorker", false}, {"UndrainWorker", false}} {
		if got := w.post(asAdmin, adminURL+c.call, `{"id":"w1"}`); got.status != 200 || len(got.body) != 0 {
			t.Errorf("%s: %d %s", c.call, got.status, got.text)
		}
		if listed() != c.want {
			t.Errorf("after %s: draining %v", c.call, !c.want)
		}
	}

	for name, c := range map[string]struct {
		auth, body string
		status     int
		want       string
	}{
		"no such worker": {asAdmin, `{"id":"w9"}`, 404, `\"w9\"`},
		"no id":          {asAdmin, `{}`, 400, "id: "},
		"endless id":     {asAdmin, `{"id":"` + strings.Repeat("w", 65) + `"}`, 400, "id: "},
		"an application": {asApp, `{"id":"w1"}`, 403, `"permission_denied"`},
	} {
		for _, call := range []string{"DrainWorker", "UndrainWorker"} {
			if got := w.post(c.auth, adminURL+call, c.body); got.status != c.status || !strings.Contains(got.text, c.want) {
				t.Errorf("%s, %s: %d %s", call, name, got.status, got.text)
			}
		}
	}
	if listed() {
		t.Error("a refused call has drained the worker")
	}
}

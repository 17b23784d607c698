// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"context"
	"strings"
	"testing"

	"connectrpc.com/connect"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// Retry tells how many letters there are in what it was asked for.
func (*fakeWorker) Retry(_ context.Context, r *connect.Request[workerv1.RetryRequest]) (*connect.Response[workerv1.RetryResponse], error) {
	asked := r.Msg.GetMailStore() + r.Msg.GetUser().GetUserId() + r.Msg.GetUser().GetContextId()
	return connect.NewResponse(&workerv1.RetryResponse{Worker: "w1", Listeners: uint32(len(asked))}), nil
}

func TestListenersAreToldToTryAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if got := w.post(asApp, pushPath+"Subscribe", subscribe); got.status != 200 {
		t.Fatalf("subscribing: %d %s", got.status, got.text)
	}
	for name, c := range map[string]struct {
		auth, body string
		status     int
		want       string
	}{
		"a mail store":       {asAdmin, `{"mailStore":"demo"}`, 200, `"listeners":4`},
		"a user":             {asAdmin, `{"contextId":"1","userId":"249"}`, 200, `"listeners":4`},
		"all":                {asAdmin, `{"all":true}`, 200, `"listeners":0`},
		"nothing":            {asAdmin, `{}`, 400, "mailStore: name either"},
		"not all":            {asAdmin, `{"all":false}`, 400, "mailStore: name either"},
		"two things":         {asAdmin, `{"mailStore":"demo","all":true}`, 400, "mailStore: name either"},
		"half of a user":     {asAdmin, `{"userId":"249"}`, 400, "contextId: contextId and userId belong together"},
		"the other half":     {asAdmin, `{"contextId":"1"}`, 400, "contextId: contextId and userId belong together"},
		"an endless name":    {asAdmin, `{"mailStore":"` + strings.Repeat("x", 257) + `"}`, 400, "mailStore: "},
		"no such mail store": {asAdmin, `{"mailStore":"nowhere"}`, 404, `\"nowhere\"`},
		"no such user":       {asAdmin, `{"contextId":"1","userId":"nobody"}`, 404, `"not_found"`},
		"an application":     {asApp, `{"all":true}`, 403, `"permission_denied"`},
	} {
		if got := w.post(c.auth, adminURL+"Retry", c.body); got.status != c.status || !strings.Contains(strings.ReplaceAll(got.text, " ", ""), strings.ReplaceAll(c.want, " ", "")) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

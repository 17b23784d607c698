// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/openapi"
)

// Whatever is sent instead of a call is answered with what to send.
func TestAnswersSayWhatToSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		method, path, auth, kind string
		status                   int
		code, want               string
	}{
		"a form":         {"POST", adminURL + "ListWorkers", asAdmin, "application/x-www-form-urlencoded", 415, "invalid_argument", `Content-Type "application/x-www-form-urlencoded" is not understood; send POST with Content-Type: application/json`},
		"plain text":     {"POST", adminURL + "ListWorkers", asAdmin, "text/plain", 415, "invalid_argument", "send POST with Content-Type: application/json"},
		"nothing said":   {"POST", pushPath + "Subscribe", asApp, "", 415, "invalid_argument", `Content-Type "" is not understood`},
		"a query":        {"GET", adminURL + "ListWorkers", asAdmin, "", 405, "unimplemented", "GET is not answered here; send POST with"},
		"another verb":   {"DELETE", pushPath + "Subscribe", asApp, "application/json", 405, "unimplemented", "DELETE is not answered here; send POST with"},
		"nowhere":        {"GET", "/nothing", asAdmin, "", 404, "not_found", `there is nothing at "/nothing"; send POST with`},
		"nowhere at all": {"POST", "/nothing", asApp, "text/plain", 404, "not_found", "/openapi.json"},
		"a stranger":     {"POST", pushPath + "Subscribe", "", "text/plain", 401, "unauthenticated", "credentials are missing"},
		"health by GET":  {"GET", "/grpc.health.v1.Health/Check", "", "", 405, "unimplemented", "send POST with"},
		"health by form": {"POST", "/grpc.health.v1.Health/Check", "", "a/b", 415, "invalid_argument", "application/json"},
	} {
		got := w.send(c.method, c.path, "{}", map[string]string{"Authorization": c.auth, "Content-Type": c.kind})
		if got.status != c.status || got.body["code"] != c.code || !strings.Contains(got.str("message"), c.want) ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %v", name, got.status, got.text, got.header)
		}
		if allow := got.header.Get("Allow"); got.status == 405 && allow != "POST" {
			t.Errorf("%s: Allow is %q", name, allow)
		}
		if id := got.header.Get("X-Request-Id"); id == "" || got.at("details", 0, "debug", "requestId") != id {
			t.Errorf("%s: the id %q is not in %s", name, id, got.text)
		}
	}
}

// A request that is too large is that, and not one too many.
func TestOversizedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	large := `{"userId":"` + strings.Repeat("1", 1<<20) + `"}`
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, err := packer.Write([]byte(large))
	check(t, errors.Join(err, packer.Close()))
	var bomb bytes.Buffer
	packer = gzip.NewWriter(&bomb)
	for range 8 {
		_, err = packer.Write(make([]byte, 1<<20))
		check(t, err)
	}
	check(t, packer.Close())
	fits := `{"userId":"` + strings.Repeat("1", 1<<20-13) + `"}`
	for name, c := range map[string]struct {
		body, encoding string
		status         int
	}{
		"as it is": {large, "", 413}, "compressed": {packed.String(), "gzip", 413}, "a bomb": {bomb.String(), "gzip", 413},
		"the largest": {fits, "", 400},
	} {
		got := w.send(http.MethodPost, pushPath+"Unsubscribe", c.body, map[string]string{
			"Authorization": asApp, "Content-Type": "application/json", "Content-Encoding": c.encoding,
		})
		if got.status != c.status || got.header.Get("Retry-After") != "" || got.header.Get("Mailpush-Too-Large") != "" {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
		if c.status == 413 && (got.body["code"] != "resource_exhausted" || got.body["message"] != "the request is larger than 1048576 bytes") {
			t.Errorf("%s: %s", name, got.text)
		}
	}
	for name, option := range map[string]connect.ClientOption{"gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb(), "Connect": connect.WithProtoJSON()} {
		client := pushv1connect.NewPushServiceClient(http.DefaultClient, w.url, option)
		r := connect.NewRequest(&pushv1.UnsubscribeRequest{SubscriptionId: strings.Repeat("1", 1<<20)})
		r.Header().Set("Authorization", asApp)
		if _, err := client.Unsubscribe(t.Context(), r); connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who asks before it sends need not send what is too large.
func TestOversizedRequestsAreRefusedUnsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)
	sent := new(counter)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+pushPath+"Subscribe", sent)
	check(t, err)
	r.ContentLength = 100 << 20
	for name, value := range map[string]string{"Authorization": asApp, "Content-Type": "application/json", "Expect": "100-continue"} {
		r.Header.Set(name, value)
	}
	res, err := transport.RoundTrip(r)
	check(t, err)
	check(t, res.Body.Close())
	if res.StatusCode != http.StatusRequestEntityTooLarge || sent.Load() != 0 {
		t.Errorf("%d after %d bytes", res.StatusCode, sent.Load())
	}
}

// counter is a body without an end that counts what is read of it.
type counter struct{ atomic.Int64 }

func (c *counter) Read(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// Who is refused for a limit is told for how long.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var got reply
	for range 11 {
		got = w.post("Bearer wrong", pushPath+"ListSubscriptions", `{}`)
	}
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if got.status != 429 || got.body["code"] != "resource_exhausted" || err != nil || seconds < 1 || seconds > 6 {
		t.Errorf("a wrong token: %d %s %v", got.status, got.text, got.header)
	}
}

// The id of a call is in its answer, in the logs and in the calls made for it.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.worker.set(connect.NewError(connect.CodeUnavailable, errors.New("mail store demo: connection refused")))
	send := func(id string) reply {
		return w.send(http.MethodPost, pushPath+"Subscribe", subscribe,
			map[string]string{"Authorization": asApp, "Content-Type": "application/json", "X-Request-Id": id})
	}
	got := send("case-4711")
	if got.status != 503 || got.header.Get("X-Request-Id") != "case-4711" || got.at("details", 0, "debug", "requestId") != "case-4711" {
		t.Errorf("%d %s %v", got.status, got.text, got.header)
	}
	line := ""
	for one := range strings.Lines(w.log.String()) {
		if strings.Contains(one, "connection refused") {
			line = one
		}
	}
	if !strings.Contains(line, "request_id=case-4711") {
		t.Errorf("logged %q", line)
	}
	if heard := w.worker.requests(); len(heard) != 1 || heard[0] != "case-4711" {
		t.Errorf("the worker heard %q", heard)
	}
	for _, insane := range []string{"", "two words", strings.Repeat("x", 129)} {
		if got := send(insane); !strings.HasPrefix(got.header.Get("X-Request-Id"), "req_") {
			t.Errorf("%q: %v", insane, got.header)
		}
	}
	w.worker.set(nil)
	if got := send("all-well"); got.status != 200 || got.header.Get("X-Request-Id") != "all-well" {
		t.Errorf("%d %v", got.status, got.header)
	}
	client := pushv1connect.NewPushServiceClient(http.DefaultClient, w.url, connect.WithGRPC())
	r := connect.NewRequest(&pushv1.UnsubscribeRequest{})
	r.Header().Set("Authorization", asApp)
	r.Header().Set("X-Request-Id", "by-grpc")
	_, err := client.Unsubscribe(t.Context(), r)
	if failed := new(connect.Error); !errors.As(err, &failed) || failed.Meta().Get("X-Request-Id") != "by-grpc" {
		t.Errorf("by gRPC: %v", err)
	}
}

// An application sees how its own subscriptions fare.
func TestApplicationsSeeHowPushesFare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(subscribe)
	const list, of = pushPath + "ListSubscriptions", `{"contextId":"1","userId":"249"}`
	w.worker.delivers(&workerv1.Delivery{
		SubscriptionId: id, State: workerv1.DeliveryState_DELIVERY_STATE_BACKOFF, Lag: 3, Failures: 2, LastError: "the endpoint answered 503",
	})
	got := w.post(asApp, list, of)
	if got.str("subscriptions", 0, "state") != "SUBSCRIPTION_STATE_FAILING" || got.at("subscriptions", 0, "lag") != float64(3) ||
		got.str("subscriptions", 0, "lastError") != "the endpoint answered 503" || strings.Contains(got.text, "w1") {
		t.Errorf("failing: %s", got.text)
	}
	w.worker.delivers(&workerv1.Delivery{SubscriptionId: id, State: workerv1.DeliveryState_DELIVERY_STATE_IDLE})
	if got := w.post(asApp, list, of); got.str("subscriptions", 0, "state") != "SUBSCRIPTION_STATE_ACTIVE" || got.str("subscriptions", 0, "lastError") != "" {
		t.Errorf("well: %s", got.text)
	}
	w.post(asAdmin, adminURL+"DisableSubscription", `{"subscriptionId":"`+id+`","reason":"noisy"}`)
	if got := w.post(asApp, list, of); got.str("subscriptions", 0, "state") != "SUBSCRIPTION_STATE_DISABLED" || got.str("subscriptions", 0, "lastError") != "noisy" ||
		got.at("subscriptions", 0, "disabled") != true || got.str("subscriptions", 0, "since") == "" {
		t.Errorf("disabled: %s", got.text)
	}
}

// That nobody can be asked hides no subscription.
func TestSubscriptionsAreListedWithoutAScheduler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AllowPermanentPush, c.SchedulerAddrs = false, []string{"127.0.0.1:1"} })
	w.subscribed(subscribe)
	got := w.post(asApp, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`)
	if got.status != 200 || got.str("subscriptions", 0, "state") != "SUBSCRIPTION_STATE_UNSPECIFIED" {
		t.Errorf("%d %s", got.status, got.text)
	}
}

func TestApplicationsTestTheirSubscriptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(subscribe)
	foreign := w.post(asAdmin, pushPath+"Subscribe", strings.Replace(subscribe, `"1"`, `"2"`, 1)).str("subscriptionId")
	try := func(id string) reply {
		return w.post(asApp, pushPath+"TestSubscription", `{"subscriptionId":"`+id+`"}`)
	}
	if got := try(foreign); got.status != 404 || !strings.Contains(got.text, "no such subscription") {
		t.Errorf("of another context: %d %s", got.status, got.text)
	}
	for range 3 {
		if got := try(id); got.body["accepted"] != true || got.str("result") != "ok" || !strings.HasSuffix(got.str("took"), "s") ||
			!strings.HasPrefix(got.str("detail"), "https://hook.example/?token=t of 249") {
			t.Errorf("tested: %d %s", got.status, got.text)
		}
	}
	if got := try(id); got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(got.text, "tested too often") {
		t.Errorf("tested too often: %d %s %v", got.status, got.text, got.header)
	}
	if got := w.post(asAdmin, adminURL+"TestSubscription", `{"subscriptionId":"`+id+`"}`); got.status != 200 {
		t.Errorf("by an administrator: %d %s", got.status, got.text)
	}
	for body, want := range map[string]int{`{"subscriptionId":"x"}`: 400, `{"subscriptionId":"sub_aaaaaaaaaaaaaaaaaaaaaaaaaa"}`: 404} {
		if got := w.post(asApp, pushPath+"TestSubscription", body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.text)
		}
	}
}

func TestOpenAPIIsServedToEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	got := w.send(http.MethodGet, "/openapi.json", "", nil)
	if got.status != 200 || got.text != openapi.Document() || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", got.status, got.header)
	}
	again := w.send(http.MethodGet, "/openapi.json", "", map[string]string{"If-None-Match": got.header.Get("ETag")})
	if again.status != 304 || again.text != "" {
		t.Errorf("again: %d %v", again.status, again.header)
	}
	if got := w.send(http.MethodPost, "/openapi.json", "{}", map[string]string{"Content-Type": "application/json"}); got.status != 401 {
		t.Errorf("by POST: %d %s", got.status, got.text)
	}
}

// The one after the last page is not announced.
func TestNoPageIsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for user := range 5 {
		w.subscribed(strings.Replace(subscribe, `"249"`, strconv.Quote(strconv.Itoa(user)), 1))
	}
	for call, list := range map[string]string{
		"ListPushUsers": "pushUsers", "ListClientRegistrations": "registrations", "ListSubscriptions": "subscriptions",
	} {
		for size, want := range map[int]string{1: "1 1 1 1 1", 2: "2 2 1", 5: "5", 9: "5"} {
			var pages []string
			for token := ""; ; {
				got := w.post(asAdmin, adminURL+call, fmt.Sprintf(`{"pageSize":%d,"pageToken":%q}`, size, token))
				page, _ := got.at(list).([]any)
				pages = append(pages, strconv.Itoa(len(page)))
				if token = got.str("nextPageToken"); token == "" {
					break
				}
			}
			if got := strings.Join(pages, " "); got != want {
				t.Errorf("%s by %d: pages of %s, want %s", call, size, got, want)
			}
		}
	}
}

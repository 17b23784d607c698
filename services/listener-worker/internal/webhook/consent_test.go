// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

type notice struct {
	Type      string
	Timestamp time.Time
	Data      map[string]string
}

func decode(t *testing.T, body []byte) notice {
	t.Helper()
	var out notice
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func asking(push transport.Push) transport.Push {
	push.Purpose = transport.Ask
	return push
}

func trying(push transport.Push) transport.Push {
	push.Purpose = transport.Try
	return push
}

func TestPing(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	c := client(t, webhook.Config{Version: "1.2"})
	challenges, ids := make(map[string]bool), make(map[string]bool)
	for range 3 {
		if result := c.Send(t.Context(), asking(push(url))); result.Class != transport.OK {
			t.Fatalf("result %+v", result)
		}
		got := <-requests
		if !verify(t, key, got.header.Get("webhook-signature"), got) {
			t.Error("the ping is not signed")
		}
		if agent, kind := got.header.Get("User-Agent"), got.header.Get("Content-Type"); agent != "mailpush/1.2" || kind != "application/json" {
			t.Errorf("it comes from %q as %q", agent, kind)
		}
		ping := decode(t, got.body)
		challenges[ping.Data["challenge"]], ids[got.header.Get("webhook-id")] = true, true
		if ping.Type != "ping" || len(ping.Data) != 1 || len(ping.Data["challenge"]) < 26 || time.Since(ping.Timestamp).Abs() > time.Minute {
			t.Errorf("ping %s", got.body)
		}
	}
	if len(challenges) != 3 || len(ids) != 3 {
		t.Errorf("challenges %v, ids %v: want three of each", challenges, ids)
	}
}

func TestPingAnswers(t *testing.T) {
	t.Parallel()
	answer := func(status int, body func(challenge string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			sent, _ := io.ReadAll(r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body(decode(t, sent).Data["challenge"]))
		}
	}
	said := func(text string) func(string) string { return func(string) string { return text } }
	padded := func(n int) func(string) string {
		return func(challenge string) string { return strings.Repeat(" ", n) + challenge }
	}
	const refused = "the endpoint answered 200 without the challenge of the ping"
	for name, c := range map[string]struct {
		handler            http.HandlerFunc
		any, echo          transport.Class // the class when any 2xx will do, and when the challenge is asked for
		detailWhenEchoAsks string
	}{
		"nothing":              {answer(200, said("")), transport.OK, transport.Misconfigured, refused},
		"something else":       {answer(200, said("ok")), transport.OK, transport.Misconfigured, refused},
		"the challenge":        {answer(200, padded(0)), transport.OK, transport.OK, ""},
		"as JSON":              {answer(201, func(word string) string { return `{"challenge":"` + word + `"}` }), transport.OK, transport.OK, ""},
		"within 64 KiB":        {answer(200, padded(64<<10-26)), transport.OK, transport.OK, ""},
		"past 64 KiB":          {answer(200, padded(64<<10-25)), transport.OK, transport.Misconfigured, refused},
		"half of it":           {answer(200, func(word string) string { return word[1:] }), transport.OK, transport.Misconfigured, refused},
		"an error that echoes": {answer(500, padded(0)), transport.Retry, transport.Retry, "the endpoint answered 500"},
		"gone":                 {answer(410, padded(0)), transport.Gone, transport.Gone, "the endpoint answered 410"},
		"a redirect":           {answer(302, padded(0)), transport.Misconfigured, transport.Misconfigured, "the endpoint answered 302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := push(serve(t, c.handler))
			if result := client(t, webhook.Config{}).Send(t.Context(), asking(target)); result.Class != c.any {
				t.Errorf("%+v, want class %v", result, c.any)
			}
			result := client(t, webhook.Config{RequireEcho: true}).Send(t.Context(), asking(target))
			if result.Class != c.echo || c.detailWhenEchoAsks != "" && result.Detail != c.detailWhenEchoAsks {
				t.Errorf("%+v, want class %v and %q", result, c.echo, c.detailWhenEchoAsks)
			}
		})
	}
}

// RequireEcho is about pings only.
func TestTestPush(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	c := client(t, webhook.Config{RequireEcho: true})
	if result := c.Send(t.Context(), trying(push(url))); result.Class != transport.OK {
		t.Fatalf("result %+v", result)
	}
	got := <-requests
	if !verify(t, key, got.header.Get("webhook-signature"), got) {
		t.Error("the test push is not signed")
	}
	test := decode(t, got.body)
	want := notice{"test", test.Timestamp, map[string]string{"contextId": "1", "userId": "249"}}
	if diff := cmp.Diff(want, test); diff != "" || time.Since(test.Timestamp).Abs() > time.Minute {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if result := c.Send(t.Context(), push(url)); result.Class != transport.OK {
		t.Errorf("a push: %+v", result)
	}
}

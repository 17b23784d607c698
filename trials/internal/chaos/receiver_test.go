// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// post makes a signed request to box-1's phone, and returns status and header of the
// answer.
func post(t *testing.T, r *receivers, secret, body string) (int, http.Header, error) {
	t.Helper()
	return postBy(t, http.DefaultClient, r, secret, body)
}

// postBy does that by a certain client.
func postBy(t *testing.T, client *http.Client, r *receivers, secret, body string) (int, http.Header, error) {
	t.Helper()
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := key.Sign("msg_1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url(0, "box-1/phone"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Webhook-Id", "msg_1")
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature)
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header, err
}

// certain are receivers that do one thing to all requests.
func certain(t *testing.T, odds Odds) *receivers {
	t.Helper()
	r, err := newReceivers(newRecord(), newDice(odds, 1), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.longest = 10 * time.Millisecond
	r.expect("box-1/phone", testSecret)
	return r
}

const newMail = `{"type":"mail:new","data":{"contextId":"1","userId":"box-1","folder":"INBOX","uidValidity":5,"events":[{"id":"evt_1","uid":7,"subject":"seven"}]}}`

func TestTrouble(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		odds            Odds
		status          int // 0: cut off
		taken, answered bool
		saysWhen        bool // to come back
	}{
		"accepted":  {status: http.StatusNoContent, taken: true, answered: true},
		"refused":   {odds: Odds{Refuse: 1}, status: http.StatusServiceUnavailable},
		"throttled": {odds: Odds{Throttle: 1}, status: http.StatusTooManyRequests, saysWhen: true},
		"hangs":     {odds: Odds{Hang: 1}, status: http.StatusServiceUnavailable},
		"reset":     {odds: Odds{Reset: 1}},
		"broken":    {odds: Odds{Break: 1}, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := certain(t, test.odds)
			status, header, err := post(t, r, testSecret, newMail)
			switch {
			case (err != nil) != (test.status == 0):
				t.Fatalf("the request: %v", err)
			case err == nil && status != test.status:
				t.Errorf("answered %d, want %d", status, test.status)
			case err == nil && (header.Get("Retry-After") != "") != test.saysWhen:
				t.Errorf("Retry-After %q", header.Get("Retry-After"))
			}
			var want []Taken
			if test.taken {
				want = []Taken{{Subscription: "box-1/phone", Mail: "seven", UID: 7, ID: "evt_1", TrueID: "evt_pt4ggvs3skrscbgtgudyevb45v", Answered: test.answered}}
			}
			taken, complaints := r.record.read()
			if diff := cmp.Diff(want, taken); diff != "" || len(complaints) > 0 {
				t.Errorf("complaints %q, taken (-want +got)\n%s", complaints, diff)
			}
			if pairs, requests := r.record.progress(); (pairs == 1) != test.answered || requests != 1 {
				t.Errorf("%d pairs in %d requests", pairs, requests)
			}
		})
	}
}

// What is no news of mail is answered and not counted, whatever the odds; what must
// not be is complained of.
func TestWhatIsNoMail(t *testing.T) {
	t.Parallel()
	const other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, test := range map[string]struct {
		secret, body string
		complains    bool
	}{
		"a ping":           {testSecret, `{"type":"ping","data":{"challenge":"x"}}`, false},
		"a test":           {testSecret, `{"type":"test","data":{"userId":"box-1"}}`, false},
		"a reset":          {testSecret, `{"type":"mailbox:reset","data":{"userId":"box-1"}}`, true},
		"another's secret": {other, newMail, true},
		"another's mail":   {testSecret, strings.Replace(newMail, "box-1", "box-2", 1), true},
		"no push":          {testSecret, `hello`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := certain(t, Odds{Refuse: 1})
			status, _, err := post(t, r, test.secret, test.body)
			want := http.StatusNoContent
			if name == "a ping" {
				want = http.StatusOK // with its challenge
			}
			if err != nil || status != want {
				t.Errorf("answered %d, %v", status, err)
			}
			taken, complaints := r.record.read()
			if len(taken) > 0 || (len(complaints) > 0) != test.complains {
				t.Errorf("taken %v, complaints %q", taken, complaints)
			}
		})
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const mailOne = `{"type":"mail:new","data":{"events":[{"id":"evt_1","uid":1}]}}`

// push posts a body to an endpoint and returns the status, 0 when nobody is there.
func push(t *testing.T, o *origin, path, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	return response.StatusCode
}

// An origin counts what it has accepted, whatever it refuses, and wherever it was meanwhile.
func TestOriginCountsWhatItAccepts(t *testing.T) {
	t.Parallel()
	o, err := newOrigin("127.0.0.21")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.goAway)
	paths := []string{"a", "b"}
	o.set(always(http.StatusNotFound), "b")
	for path, want := range map[string]int{"a": http.StatusNoContent, "b": http.StatusNotFound} {
		if got := push(t, o, path, mailOne); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
	if missing, lack, refusals := o.missing(2, paths), o.lack(1, paths), o.refusals(paths); missing != 3 || lack != 1 || refusals != 1 {
		t.Errorf("%d mails are missing, %d endpoints lack the first, %d have refused", missing, lack, refusals)
	}
	o.goAway()
	if got := push(t, o, "a", mailOne); got != 0 {
		t.Errorf("it is away, and answers %d", got)
	}
	if err := o.comeBack(); err != nil {
		t.Fatal(err)
	}
	back, err := o.firstAnswer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.set(nil, "b")
	if got := push(t, o, "b", mailOne); got != http.StatusNoContent {
		t.Errorf("it is well again, and answers %d", got)
	}
	if err := o.await(t.Context(), settle, 1, paths); err != nil {
		t.Error(err)
	}
	if at := o.latest(1, paths); at.Before(back) || at.After(time.Now()) {
		t.Errorf("accepted at %v, after %v", at, back)
	}
}

// A receiver with a wrong secret refuses what is signed by another.
func TestExpectingRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	o, err := newOrigin("127.0.0.21")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.goAway)
	o.set(expecting("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "a")
	if got := push(t, o, "a", mailOne); got != http.StatusBadRequest || o.missing(1, []string{"a"}) != 1 {
		t.Errorf("answered %d", got)
	}
}

// All that may be lost counts.
func TestLost(t *testing.T) {
	t.Parallel()
	if sum := (Lost{Subscriptions: 1, Listeners: 2, Mails: 3, DeadLetters: 4, Beside: 5, Served: time.Hour}).Sum(); sum != 15 {
		t.Errorf("%d are lost", sum)
	}
	for _, served := range []Served{{After: time.Second, Shown: true}, {After: time.Minute, All: true, Shown: true}, {After: time.Second, All: true}} {
		if served.Err(30*time.Second) == nil {
			t.Errorf("%+v is well", served)
		}
	}
	if err := (Served{After: 29 * time.Second, All: true, Shown: true}).Err(30 * time.Second); err != nil {
		t.Error(err)
	}
}

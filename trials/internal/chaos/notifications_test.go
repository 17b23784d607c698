// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// arrival is a notification as a worker has it.
type arrival struct{ Method, Path, Name, Password, Body string }

// ways are notifications that all have one fate, and where they arrive.
func ways(t *testing.T, odds NotifyOdds) (*notifications, chan arrival) {
	t.Helper()
	arrived := make(chan arrival, 8)
	worker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- arrival{r.Method, r.URL.Path, name, password, string(body)}
	}))
	t.Cleanup(worker.Close)
	n, err := newNotifications(t.Context(), newFates(odds, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.serve(t.Context(), []string{strings.TrimPrefix(worker.URL, "http://")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return n, arrived
}

// notify sends a notification as Dovecot does, and returns the status of the answer, 0 for
// none in time.
func notify(t *testing.T, n *notifications) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, n.url("pw"), strings.NewReader(`{"user":"box-1@1"}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Timeout: (shortDelay + longDelay) / 2, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestNotificationsMeetTheirFates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		odds          NotifyOdds
		status, times int
		lost, late    int
	}{
		"passed on": {NotifyOdds{}, http.StatusOK, 1, 0, 0},
		"refused":   {NotifyOdds{Refuse: 1}, http.StatusServiceUnavailable, 0, 1, 0},
		"twice":     {NotifyOdds{Twice: 1}, http.StatusOK, 2, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, arrived := ways(t, c.odds)
			if got := notify(t, n); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			for range c.times {
				want := arrival{http.MethodPut, notifyPath, notifyName, "pw", `{"user":"box-1@1"}`}
				if diff := cmp.Diff(want, <-arrived); diff != "" {
					t.Error(diff)
				}
			}
			if came, lost, late := n.count(); came != max(c.times, 1) || lost != c.lost || late != c.late {
				t.Errorf("%d came, %d lost, %d late, want %d, %d, %d", came, lost, late, max(c.times, 1), c.lost, c.late)
			}
		})
	}
}

// What is dropped is answered or cut off, what is late answered or not in time: half each.
func TestNotificationsAreDroppedAndLateInBothWays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		odds    NotifyOdds
		arrives bool
	}{"dropped": {NotifyOdds{Drop: 1}, false}, "late": {NotifyOdds{Late: 1}, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, arrived := ways(t, c.odds)
			sent, seen := 0, make(map[int]bool)
			for ; len(seen) < 2 && sent < 64; sent++ {
				seen[notify(t, n)] = true
				if c.arrives {
					<-arrived // after the sender has given up, too
				}
			}
			if want := map[int]bool{0: true, http.StatusOK: true}; !cmp.Equal(seen, want) {
				t.Errorf("%d notifications had the answers %v, want some with 200 and some without", sent, seen)
			}
			if _, lost, late := n.count(); lost+late != sent || (late > 0) != c.arrives || len(arrived) > 0 {
				t.Errorf("%d of %d lost, %d late, %d arrived", lost, sent, late, len(arrived))
			}
		})
	}
}

func TestNotificationsAreRefusedAndTakenAgain(t *testing.T) {
	t.Parallel()
	n, arrived := ways(t, NotifyOdds{})
	told := make(chan string, 8)
	err := n.outages(t.Context(), rand.New(rand.NewPCG(1, 1)), 3, 10*time.Millisecond, func(string, ...any) {
		told <- "refused"
	})
	if err != nil || len(told) != 3 {
		t.Errorf("%d outages: %v, want 3", len(told), err)
	}
	if got := notify(t, n); got != http.StatusOK {
		t.Errorf("status %d after an outage, want 200", got)
	}
	<-arrived
	if err := n.current().Close(); err != nil {
		t.Error(err)
	}
	if got := notify(t, n); got != 0 {
		t.Errorf("status %d in an outage, want none", got)
	}
}

// A worker that is away loses what it is sent, and Dovecot is told so.
func TestNotificationsToAWorkerThatIsAwayAreLost(t *testing.T) {
	t.Parallel()
	n, err := newNotifications(t.Context(), newFates(NotifyOdds{}, 1))
	if err != nil {
		t.Fatal(err)
	}
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	if err := n.serve(t.Context(), []string{strings.TrimPrefix(away.URL, "http://")}); err != nil {
		t.Fatal(err)
	}
	if got := notify(t, n); got != http.StatusBadGateway {
		t.Errorf("status %d, want 502", got)
	}
	if _, lost, _ := n.count(); lost != 1 {
		t.Errorf("%d are lost, want 1", lost)
	}
	began := time.Now()
	if err := n.close(); err != nil || time.Since(began) > closeTimeout {
		t.Errorf("closing took %v: %v", time.Since(began), err)
	}
}

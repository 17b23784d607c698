// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/rpc"
)

// transport answers as the test says.
type transport struct {
	answer func(r *http.Request) (*http.Response, error)
	closed int
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.answer(r) }
func (t *transport) CloseIdleConnections()                             { t.closed++ }

func TestCallsAreCountedAsTheirCallerMeetsThem(t *testing.T) {
	t.Parallel()
	metrics, below := prometheus.NewRegistry(), new(transport)
	client := rpc.NewCalls(metrics).Count(&http.Client{Transport: below}, "vault")
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, c := range []struct {
		status int
		err    error
	}{
		{status: http.StatusOK},
		{status: http.StatusOK},
		{status: http.StatusServiceUnavailable},
		{err: refused},
		{err: context.DeadlineExceeded},
		{err: context.Canceled}, // its caller has lost interest
	} {
		below.answer = func(*http.Request) (*http.Response, error) {
			if c.err != nil {
				return nil, c.err
			}
			return &http.Response{StatusCode: c.status, Body: http.NoBody}, nil
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rpc.BaseURL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if !errors.Is(err, c.err) {
			t.Errorf("got %v, want %v", err, c.err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
	}
	want := map[string]float64{
		"mailpush_calls_total status=200 to=vault": 2, "mailpush_calls_total status=503 to=vault": 1, "mailpush_calls_total status=none to=vault": 2,
		"mailpush_call_seconds to=vault": 5,
	}
	if diff := cmp.Diff(want, gathered(t, metrics)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if client.CloseIdleConnections(); below.closed != 1 {
		t.Error("idle connections stay open")
	}
}

// gathered are counters, and how often histograms have observed, by name and labels.
func gathered(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			out[name] = metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return out
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/rpc"
)

// at answers as a service whose clock is ahead.
type at time.Duration

func (a at) RoundTrip(*http.Request) (*http.Response, error) {
	header := http.Header{"Date": {time.Now().Add(time.Duration(a)).UTC().Format(http.TimeFormat)}}
	if a == at(time.Duration(-1)) {
		header = http.Header{"Date": {"noon"}}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// Clocks an hour apart are said once and measured; those that agree are not spoken of.
func TestClocksThatDifferAreSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead time.Duration
		want  float64
		said  string
	}{
		"they agree":        {0, 0, ""},
		"a little":          {-5 * time.Second, -5, ""},
		"an hour ahead":     {time.Hour, 3600, "it is ahead by "},
		"an hour behind":    {-time.Hour, -3600, "it is ahead by -"},
		"it tells no time":  {-1, 0, ""},
		"a day and a night": {24 * time.Hour, 86400, "it is ahead by "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			metrics := prometheus.NewRegistry()
			clocks, err := rpc.NewClocks(prometheus.GaugeOpts{Name: "x"}, slog.New(slog.NewTextHandler(&said, nil)), metrics)
			if err != nil {
				t.Fatal(err)
			}
			client := clocks.Watch("admin-api", &http.Client{Transport: at(c.ahead)})
			for range 3 {
				answer, err := client.Get("http://x")
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
			}
			families, err := metrics.Gather()
			if err != nil || len(families) != 1 {
				t.Fatalf("%v, %v", families, err)
			}
			if value := families[0].GetMetric()[0].GetGauge().GetValue(); value < c.want-1 || value > c.want+1 {
				t.Errorf("the metric says %v, want %v", value, c.want)
			}
			if c.said == "" && said.Len() > 0 || strings.Count(said.String(), c.said) != 1 && c.said != "" {
				t.Errorf("it says %q once: %s", c.said, said.String())
			}
		})
	}
}

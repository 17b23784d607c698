// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
)

// clockTolerance is by how much the clocks of two services may differ before it is said:
// what is measured is in whole seconds, and an answer takes its time.
const clockTolerance = 10 * time.Second

// Clocks watches whether the clocks of other services agree with this one's, by the Date
// of their answers (RFC 9110 section 6.6.1). Which of two is wrong it does not guess, and
// nothing that it finds changes what a service does: who owns what goes by leases and
// epochs. It is for whoever reads logs of both, and for endpoints, which refuse pushes
// whose timestamp is not about their time.
type Clocks struct {
	log     *slog.Logger
	differs *prometheus.GaugeVec
}

// NewClocks registers the metric of the service that watches: by how much the clock of
// another, its label, is ahead.
func NewClocks(metric prometheus.GaugeOpts, log *slog.Logger, metrics prometheus.Registerer) (*Clocks, error) {
	c := &Clocks{log: log, differs: prometheus.NewGaugeVec(metric, []string{"service"})}
	if err := metrics.Register(c.differs); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return c, nil
}

// Watch watches the clock of a service by the answers that a client gets from it.
func (c *Clocks) Watch(service string, client *http.Client) *http.Client {
	watched := *client
	watched.Transport = &clock{
		RoundTripper: client.Transport,
		differs:      c.differs.WithLabelValues(service),
		agrees:       condition.NewShared(c.log, slog.LevelWarn, "the clock of another service differs from this one's"),
		service:      service,
	}
	return &watched
}

// clock is the way to one service.
type clock struct {
	http.RoundTripper

	differs prometheus.Gauge
	agrees  *condition.Condition
	service string
}

// RoundTrip implements [http.RoundTripper].
func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := time.Now()
	answer, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		c.compare(r.Context(), answer.Header.Get("Date"), asked, time.Now())
	}
	return answer, err
}

// compare takes a Date for said at any moment of the call.
func (c *clock) compare(ctx context.Context, date string, asked, answered time.Time) {
	said, err := http.ParseTime(date)
	if err != nil {
		return // one that has no clock says none
	}
	ahead := time.Duration(0)
	switch {
	case said.After(answered):
		ahead = said.Sub(answered)
	case said.Add(time.Second).Before(asked): // it was cut to a second
		ahead = said.Add(time.Second).Sub(asked)
	}
	c.differs.Set(ahead.Round(time.Second).Seconds())
	if ahead.Abs() <= clockTolerance {
		c.agrees.Worked(ctx)
		return
	}
	c.agrees.Failed(ctx, fault.New(fault.Precondition, "it is ahead by %s, or behind where that is negative; have both keep time, by NTP or the like",
		ahead.Round(time.Second)), "of", c.service)
}

// CloseIdleConnections lets the client's method through.
func (c *clock) CloseIdleConnections() {
	if closer, ok := c.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

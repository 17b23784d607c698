// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Calls counts and times the calls of a process to other services, as the process meets
// them: that a service cannot be reached, the service itself does not see. It is safe for
// concurrent use.
type Calls struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// noStatus is the label of a call that was not answered.
const noStatus = "none"

// NewCalls makes the metrics and registers them.
func NewCalls(r prometheus.Registerer) *Calls {
	f := promauto.With(r)
	return &Calls{
		total: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_calls_total",
			Help: "Calls to another service, by the service and the HTTP status of the answer: none where it could not be reached or did not answer in time.",
		}, []string{"to", "status"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mailpush_call_seconds",
			Help:    "How long calls to another service took until their answer, or until there was none.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8), // 1 ms to 16 s
		}, []string{"to"}),
	}
}

// Count returns a client like the given one, whose calls are counted as those to a service.
func (c *Calls) Count(client *http.Client, service string) *http.Client {
	for _, status := range []string{noStatus, strconv.Itoa(http.StatusOK)} {
		c.total.WithLabelValues(service, status) // a rate needs to have begun at 0
	}
	counted := *client
	counted.Transport = counting{client.Transport, c, service}
	return &counted
}

// counting counts what goes through a transport.
type counting struct {
	http.RoundTripper

	calls *Calls
	to    string
}

// RoundTrip implements [http.RoundTripper]. A call that its caller gives up is nobody's
// failure; one whose time is over is.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := c.RoundTripper.RoundTrip(r)
	if errors.Is(err, context.Canceled) {
		return response, err
	}
	status := noStatus
	if err == nil {
		status = strconv.Itoa(response.StatusCode)
	}
	c.calls.total.WithLabelValues(c.to, status).Inc()
	c.calls.seconds.WithLabelValues(c.to).Observe(time.Since(began).Seconds())
	return response, err
}

// CloseIdleConnections lets go of connections that no call is on; see
// [http.Client.CloseIdleConnections].
func (c counting) CloseIdleConnections() {
	if closer, able := c.RoundTripper.(interface{ CloseIdleConnections() }); able {
		closer.CloseIdleConnections()
	}
}

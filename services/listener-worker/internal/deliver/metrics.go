// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/services/listener-worker/internal/pump"
)

type metrics struct {
	deliveries *prometheus.CounterVec
	latency    prometheus.Histogram
	commits    prometheus.Counter
	questions  prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_deliveries_total",
			Help: "Requests to endpoints, by what the answer means.",
		}, []string{"class"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mailpush_worker_noticed_to_sent_seconds",
			Help:    "From noticing the oldest mail of a push to its first request.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}),
		commits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_cursor_commits_total",
			Help: "Cursors stored at the registry.",
		}),
		questions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_doubts_total",
			Help: "Questions to the registry before a delivery, because etcd was silent.",
		}),
	}
	for _, class := range pump.Classes() {
		m.deliveries.WithLabelValues(class.String())
	}
	if registerer != nil {
		registerer.MustRegister(m.deliveries, m.latency, m.commits, m.questions)
	}
	return m
}

func (m *metrics) result(class pump.Class) { m.deliveries.WithLabelValues(class.String()).Inc() }

func (m *metrics) sent(after time.Duration) { m.latency.Observe(after.Seconds()) }

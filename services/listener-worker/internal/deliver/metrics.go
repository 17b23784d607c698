// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

type metrics struct {
	deliveries  *prometheus.CounterVec
	pings       *prometheus.CounterVec
	latency     prometheus.Histogram
	accepted    *prometheus.HistogramVec
	commits     prometheus.Counter
	questions   prometheus.Counter
	deadLetters prometheus.Counter
	vanished    prometheus.Counter
	held        prometheus.Counter
	gone        *prometheus.CounterVec
	endings     *prometheus.CounterVec
	spared      prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, transports transport.Table) *metrics {
	m := &metrics{
		deliveries: counters("mailpush_worker_deliveries_total", "Requests to endpoints, by what the answer means.", "transport", "class"),
		pings:      counters("mailpush_worker_pings_total", "Questions to endpoints whether they want pushes, by what the answer means.", "class"),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mailpush_worker_noticed_to_sent_seconds",
			Help:    "From noticing the oldest mail of a push to its first request.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}),
		accepted: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mailpush_worker_noticed_to_accepted_seconds",
			Help:    "From noticing the oldest mail of a push to its acceptance by the endpoint, with all tries.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 12),
		}, []string{"transport"}),
		commits:     counter("mailpush_worker_cursor_commits_total", "Cursors stored at the registry."),
		questions:   counter("mailpush_worker_doubts_total", "Questions to the registry before a delivery, because etcd was silent."),
		deadLetters: counter("mailpush_worker_dead_letters_total", "Ranges of mails that were stepped over because an endpoint would not take them."),
		vanished:    counter("mailpush_worker_vanished_total", "UIDs that held no mail any more when they were to be pushed."),
		held:        counter("mailpush_worker_gone_held_total", "Endpoints that say they are gone whose subscription goes on, because too many of the origin do."),
		gone:        counters("mailpush_worker_gone_total", "Steps by which endpoints were found to be gone: suspected, dropped (they are there after all), proven.", "step"),
		spared:      counter("mailpush_worker_reads_spared_total", "Reads of mailboxes that were not made, for the mails had been told."),
	}
	m.endings = counters("mailpush_worker_endings_total", "Endpoints that were told that their subscription ends, by what the answer means.", "class")
	for _, step := range []string{goneSuspected, goneDropped, goneProven} {
		m.gone.WithLabelValues(step)
	}
	for _, class := range transport.Classes() {
		m.pings.WithLabelValues(class.String())
		m.endings.WithLabelValues(class.String())
		for kind := range transports {
			m.deliveries.WithLabelValues(string(kind), class.String())
		}
	}
	for kind := range transports {
		m.accepted.WithLabelValues(string(kind))
	}
	if registerer != nil {
		registerer.MustRegister(m.deliveries, m.pings, m.latency, m.accepted, m.commits, m.questions, m.deadLetters, m.vanished, m.held, m.gone, m.endings, m.spared)
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// sent counts the first request of a push.
func (m *metrics) sent(after time.Duration) { m.latency.Observe(after.Seconds()) }

// answered counts what came of a request.
func (m *metrics) answered(r *request, now time.Time) {
	kind, class := string(r.push.Target.Kind), r.result.Class.String()
	if r.result.Unmade {
		return
	}
	if r.ping() {
		m.pings.WithLabelValues(class).Inc()
		return
	}
	m.deliveries.WithLabelValues(kind, class).Inc()
	if r.result.Class == transport.OK {
		m.accepted.WithLabelValues(kind).Observe(now.Sub(r.push.Batch.Noticed).Seconds())
	}
}

// served counts what was passed over on the way to a cursor.
func (m *metrics) served(commit pump.Commit, letters []DeadLetter) {
	m.vanished.Add(float64(commit.Vanished))
	m.deadLetters.Add(float64(len(letters)))
}

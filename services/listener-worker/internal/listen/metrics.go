// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

type metrics struct {
	listeners *prometheus.GaugeVec
	connects  *prometheus.CounterVec
	failures  *prometheus.CounterVec
	mails     prometheus.Counter
	waiting   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	m := &metrics{
		listeners: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mailpush_worker_listeners",
			Help: "Listeners by what they are doing.",
		}, []string{"state"}),
		connects: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_imap_connects_total",
			Help: "Attempts to open a mailbox, by result: ok or why not.",
		}, []string{"result"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_imap_failures_total",
			Help: "Open mailboxes that were lost, by why.",
		}, []string{"class"}),
		mails: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_imap_mails_fetched_total",
			Help: "Mails that were read.",
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_worker_imap_connects_waiting",
			Help: "Mailboxes that wait for their turn to be opened.",
		}),
	}
	for state := range mailv1.ListenerState_name {
		if state != 0 {
			m.listeners.WithLabelValues(stateLabel(mailv1.ListenerState(state)))
		}
	}
	return m
}

// entered counts a listener that changed from one state to another; 0 is none.
func (m *metrics) entered(from, to mailv1.ListenerState) {
	if from == to {
		return
	}
	if from != 0 {
		m.listeners.WithLabelValues(stateLabel(from)).Dec()
	}
	if to != 0 {
		m.listeners.WithLabelValues(stateLabel(to)).Inc()
	}
}

func stateLabel(s mailv1.ListenerState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "LISTENER_STATE_"))
}

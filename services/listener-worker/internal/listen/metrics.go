// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// What mail stores are asked, as a label of how long they took.
const (
	toOpen = "open"
	toIdle = "idle"
	toLook = "look"
	toRead = "read"
)

type metrics struct {
	listeners *prometheus.GaugeVec
	took      *prometheus.HistogramVec
	connects  *prometheus.CounterVec
	failures  *prometheus.CounterVec
	mails     prometheus.Counter
	waiting   prometheus.Gauge

	down     *prometheus.GaugeVec
	awaiting prometheus.Gauge
	retries  *prometheus.CounterVec

	reconciled prometheus.Counter
	missed     prometheus.Counter
	proofAge   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	m := &metrics{
		listeners: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mailpush_worker_listeners",
			Help: "Listeners by their mail store and what they are doing.",
		}, []string{"mail_store", "state"}),
		took: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mailpush_worker_mail_store_seconds",
			Help:    "How long mail stores took to open a mailbox, to begin IDLE, to tell where a folder ends and to show mails; also when the time for it was over.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 66 s
		}, []string{"mail_store", "operation"}),
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
		down: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mailpush_worker_mail_stores_down",
			Help: "Addresses of a mail store that serve none of this worker's listeners.",
		}, []string{"mail_store"}),
		awaiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_worker_listeners_awaiting_store",
			Help: "Listeners in back-off that try again when their mail store has served another.",
		}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_retries_total",
			Help: "Listeners whose back-off was ended, by what: probe, success of another, hint or hand.",
		}, []string{"by"}),
		reconciled: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_reconciled_total",
			Help: "Mailboxes whose end was asked for without a hint, in case that hints were lost.",
		}),
		missed: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_found_by_reconcile_total",
			Help: "Times that new mail was found of which no hint has told.",
		}),
		proofAge: f.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_worker_proof_age_seconds",
			Help: "How long ago the mail store told the end of the mailbox that it told least lately, of those that wait for hints.",
		}),
	}
	for _, by := range []string{byProbe, bySuccess, byHint, byHand} {
		m.retries.WithLabelValues(by)
	}
	m.connects.WithLabelValues("ok")
	for class := mailbox.ClassRefused; class <= mailbox.ClassCredentials; class++ {
		m.connects.WithLabelValues(class.String()) // a first failure is seen as a rise from 0
	}
	return m
}

// knows has a mail store be shown, with nothing yet.
func (m *metrics) knows(store string) {
	m.down.WithLabelValues(store)
	for state := range mailv1.ListenerState_name {
		if state != 0 {
			m.listeners.WithLabelValues(store, stateLabel(mailv1.ListenerState(state)))
		}
	}
}

// entered counts a listener at a mail store that changed from one state to another; 0 is
// none.
func (m *metrics) entered(store string, from, to mailv1.ListenerState) {
	if from == to {
		return
	}
	if from != 0 {
		m.listeners.WithLabelValues(store, stateLabel(from)).Dec()
	}
	if to != 0 {
		m.listeners.WithLabelValues(store, stateLabel(to)).Inc()
	}
}

// timed takes in how long a mail store took. A failure tells nothing of how fast it serves,
// unless its answer was waited for in vain.
func (m *metrics) timed(store, operation string, began time.Time, err error) {
	if err == nil || mailbox.AsFailure(err).Class == mailbox.ClassTimeout {
		m.took.WithLabelValues(store, operation).Observe(time.Since(began).Seconds())
	}
}

func stateLabel(s mailv1.ListenerState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "LISTENER_STATE_"))
}

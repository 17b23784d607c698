// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Config sets up a Source. The zero value is usable.
type Config struct {
	// Log receives what mail stores send that is not understood; nothing is logged when
	// it is nil.
	Log *slog.Logger
	// Metrics registers the source's metrics; none are exported when it is nil.
	Metrics prometheus.Registerer
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

type counters struct {
	skipped    [kinds]prometheus.Counter
	unreadable prometheus.Counter
	absent     prometheus.Counter
	contradict prometheus.Counter
}

func newCounters(r prometheus.Registerer) *counters {
	f := promauto.With(r)
	skipped := f.NewCounterVec(prometheus.CounterOpts{
		Name: "mailpush_worker_imap_responses_skipped_total",
		Help: "Responses of mail stores that nobody understands or asked for, by kind.",
	}, []string{"kind"})
	m := &counters{
		unreadable: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_imap_mails_unreadable_total",
			Help: "Mails that were announced with what is known of them, for they cannot be read.",
		}),
		absent: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_imap_mails_absent_total",
			Help: "Times that mails were taken for gone because they stayed absent, without another sign.",
		}),
		contradict: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_imap_contradictions_total",
			Help: "Times that a mail store told of new mail and of an old end of the folder.",
		}),
	}
	for kind := range m.skipped {
		m.skipped[kind] = skipped.WithLabelValues(oddity(kind).String())
	}
	return m
}

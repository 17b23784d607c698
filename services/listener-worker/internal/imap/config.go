// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailpush.internal/services/listener-worker/internal/imap/internal/park"
)

// Config sets up a Source. The zero value is usable.
type Config struct {
	// Log receives what mail stores send that is not understood; nothing is logged when
	// it is nil.
	Log *slog.Logger
	// Metrics registers the source's metrics; none are exported when it is nil.
	Metrics prometheus.Registerer
	// ReleaseTLSBuffers has connections that wait give back the buffers of their TLS,
	// where this release of Go allows that.
	ReleaseTLSBuffers bool
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
	handshakes [2]prometheus.Counter // full ones, resumed ones
}

// handshake counts one with a mail store.
func (m *counters) handshake(resumed bool) {
	if resumed {
		m.handshakes[1].Inc()
		return
	}
	m.handshakes[0].Inc()
}

func newCounters(cfg Config) *counters {
	f := promauto.With(cfg.Metrics)
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
	handshakes := f.NewCounterVec(prometheus.CounterOpts{
		Name: "mailpush_worker_imap_tls_handshakes_total",
		Help: "TLS handshakes with mail stores, by whether a session was resumed.",
	}, []string{"resumed"})
	m.handshakes = [2]prometheus.Counter{handshakes.WithLabelValues("false"), handshakes.WithLabelValues("true")}
	released := f.NewGauge(prometheus.GaugeOpts{
		Name: "mailpush_worker_tls_buffers_released",
		Help: "1 when idle connections to mail stores give back their TLS buffers, 0 when that is switched off or this build cannot.",
	})
	if cfg.ReleaseTLSBuffers && park.CanRelease() {
		released.Set(1)
	}
	for kind := range m.skipped {
		m.skipped[kind] = skipped.WithLabelValues(oddity(kind).String())
	}
	return m
}

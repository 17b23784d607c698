// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package reload

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tell which configuration is in force.
type metrics struct {
	generation prometheus.Gauge
	successful prometheus.Gauge
	succeeded  prometheus.Gauge
	restart    prometheus.Gauge
	expires    *prometheus.GaugeVec
	named      map[string]time.Time // the certificates that expires has
}

func newMetrics() *metrics {
	m := &metrics{
		generation: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_config_generation",
			Help: "The configuration in force: 1 since the start, and one more for each that was taken since and had changed.",
		}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_config_last_reload_successful",
			Help: "Whether what was read last is in force: 0 when it was refused and the configuration before stays.",
		}),
		succeeded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last read and found good.",
		}),
		restart: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_config_restart_needed",
			Help: "Whether a setting has changed that takes a restart of this process; the log names it.",
		}),
		expires: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mailpush_certificate_expires_timestamp_seconds",
			Help: "When a certificate ends that this process shows, and the authority of its own.",
		}, []string{"certificate"}),
	}
	m.generation.Set(1)
	return m
}

func (m *metrics) register(registry prometheus.Registerer) error {
	for _, one := range []prometheus.Collector{m.generation, m.successful, m.succeeded, m.restart, m.expires} {
		if err := registry.Register(one); err != nil {
			return err
		}
	}
	return nil
}

// took notes that what was read is in force, with certificates that end when they do.
func (m *metrics) took(ends map[string]time.Time) {
	m.successful.Set(1)
	m.succeeded.SetToCurrentTime()
	for name, end := range ends {
		m.expires.WithLabelValues(name).Set(float64(end.Unix()))
	}
	for name := range m.named {
		if _, still := ends[name]; !still {
			m.expires.DeleteLabelValues(name)
		}
	}
	m.named = ends
}

func (m *metrics) refused() { m.successful.Set(0) }

func (m *metrics) waits(restart bool) {
	m.restart.Set(0)
	if restart {
		m.restart.Set(1)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailpush.internal/services/listener-worker/internal/owner"
)

// showGauges exports what the worker can carry, and whether it knows that it may act.
func (s *Service) showGauges(o *owner.Owner) {
	f := promauto.With(s.rt.Metrics)
	f.NewGauge(prometheus.GaugeOpts{
		Name: "mailpush_worker_capacity_listeners",
		Help: "Listeners that the worker is built to carry.",
	}).Set(float64(s.cfg.Capacity))
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailpush_worker_in_doubt",
		Help: "1 while etcd has been silent for so long that the registry is asked before each delivery.",
	}, func() float64 {
		if o.InDoubt() {
			return 1
		}
		return 0
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// ExportReadiness has the metrics tell what /readyz does, for whoever watches by metrics
// alone. The service's name is in them, so that they also tell that it is there.
func ExportReadiness(rt Runtime, ready func(context.Context) error) {
	promauto.With(rt.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "mailpush_service_ready",
		Help:        "1 while the service can do its work, 0 while it cannot.",
		ConstLabels: prometheus.Labels{"service": rt.Identity.Service()},
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		if ready(ctx) != nil {
			return 0
		}
		return 1
	})
}

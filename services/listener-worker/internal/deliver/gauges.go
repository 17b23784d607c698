// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// showGauges exports how the loop stands. Whoever scrapes reads numbers that the loop
// has left, and does not hold it up.
func (l *Loop) showGauges(registerer prometheus.Registerer) {
	if registerer == nil {
		return
	}
	gauge := func(name, help string, labels prometheus.Labels, read func() float64) {
		registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
	}
	gauge("mailpush_worker_oldest_undelivered_seconds", "How long ago the oldest mail was noticed that has not been accepted yet.",
		nil, l.backlog.age)
	gauge("mailpush_worker_cursor_lag_uids", "UIDs between the cursors and the ends of their folders, of all subscriptions.",
		nil, func() float64 { return float64(l.backlog.sum.Load()) })
	gauge("mailpush_worker_cursor_lag_max_uids", "UIDs between a cursor and the end of its folder, of the subscription that is furthest behind.",
		nil, func() float64 { return float64(l.backlog.most.Load()) })
	gauge("mailpush_worker_subscriptions_late", "Subscriptions with consent that a mail has waited for since more than 5 minutes.",
		nil, func() float64 { return float64(l.backlog.late.Load()) })
	for state := origins.Closed; state <= origins.HalfOpen; state++ {
		gauge("mailpush_worker_origin_breakers", "Origins of endpoints, by what their breaker lets through.",
			prometheus.Labels{"state": state.String()}, func() float64 { return float64(l.origins.States(state)) })
	}
}

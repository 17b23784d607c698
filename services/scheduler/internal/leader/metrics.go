// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/services/scheduler/internal/assign"
)

// Metrics are the loop's. Those about the cluster are kept by the leader only.
type Metrics struct {
	leading    prometheus.Gauge
	workers    prometheus.Gauge
	unassigned prometheus.Gauge
	alarms     *prometheus.GaugeVec
	settling   prometheus.Gauge
	unread     prometheus.Gauge
	granted    prometheus.Counter
	revoked    prometheus.Counter
	passes     *prometheus.HistogramVec
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "mailpush", Subsystem: "scheduler", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "mailpush", Subsystem: "scheduler", Name: name, Help: help})
	}
	m := &Metrics{
		leading:    gauge("leading", "1 while this process leads."),
		workers:    gauge("workers", "Live workers, as the leader sees them."),
		unassigned: gauge("unassigned_shards", "Shards that no live worker is capable of running, or has room for."),
		alarms: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "mailpush", Subsystem: "scheduler", Name: "alarms",
			Help: "1 for each reason why shards or workers are missing.",
		}, []string{"reason"}),
		settling: gauge("settling_shards", "Shards that wait for their former worker to let go."),
		unread:   gauge("unread_keys", "Keys in etcd whose values cannot be read or are not mailpush's."),
		granted:  counter("granted_shards_total", "Shards given to workers."),
		revoked:  counter("revoked_shards_total", "Shards taken from live workers."),
		passes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "mailpush", Subsystem: "scheduler", Name: "pass_duration_seconds",
			Help:    "Time of one pass from reading the plan to the last write.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 13),
		}, []string{"result"}),
	}
	for _, c := range []prometheus.Collector{m.leading, m.workers, m.unassigned, m.alarms, m.settling, m.unread, m.granted, m.revoked, m.passes} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// follow shows that another one leads, or nobody: what was known of the cluster grows old.
func (m *Metrics) follow() {
	for _, gauge := range []prometheus.Gauge{m.leading, m.workers, m.unassigned, m.settling, m.unread} {
		gauge.Set(0)
	}
	for _, reason := range reasons() {
		m.alarms.WithLabelValues(reason).Set(0)
	}
}

// reasons are the labels of alarms.
func reasons() map[assign.Alarm]string {
	return map[assign.Alarm]string{
		assign.NoCapableWorker: "no_capable_worker",
		assign.NoRoom:          "workers_full",
		assign.MassLoss:        "workers_vanished",
	}
}

// show tells operators what a pass found and did.
func (t *leadership) show(ctx context.Context, snapshot *cluster.Snapshot, plan assign.Plan) {
	workers := 0
	for _, entry := range snapshot.Entries {
		if entry.Worker != nil {
			workers++
		}
	}
	m := t.config.Metrics
	m.workers.Set(float64(workers))
	m.unassigned.Set(float64(plan.Unassigned))
	for alarm, reason := range reasons() {
		sounds := 0.0
		if slices.Contains(plan.Alarms, alarm) {
			sounds = 1
		}
		m.alarms.WithLabelValues(reason).Set(sounds)
	}
	m.settling.Set(float64(plan.Settling))
	m.granted.Add(float64(plan.Granted))
	m.revoked.Add(float64(plan.Revoked))
	if len(plan.Updates) > 0 {
		t.config.Log.InfoContext(ctx, "plan changed", "workers", workers, "granted", plan.Granted,
			"revoked", plan.Revoked, "settling", plan.Settling, "updates", len(plan.Updates))
	}
	t.name(ctx, snapshot.Unread())
	t.sound(ctx, plan, workers)
}

// name logs which keys cannot be read when others can't than before, and their end.
func (t *leadership) name(ctx context.Context, unread []error) {
	t.config.Metrics.unread.Set(float64(len(unread)))
	text := ""
	if len(unread) > 0 {
		text = errors.Join(unread...).Error()
	}
	switch {
	case text == t.unread:
	case len(unread) > 0:
		t.config.Log.ErrorContext(ctx, "some keys in etcd cannot be read", "keys", len(unread), "error", text)
	default:
		t.config.Log.InfoContext(ctx, "all keys in etcd can be read again")
	}
	t.unread = text
}

// sound logs alarms when they change, and their end.
func (t *leadership) sound(ctx context.Context, plan assign.Plan, workers int) {
	alarm := fmt.Sprint(plan.Unassigned, plan.Alarms)
	switch {
	case alarm == t.alarm:
	case len(plan.Alarms) > 0:
		t.config.Log.ErrorContext(ctx, "shards or workers are missing", "reasons", plan.Alarms,
			"shards", plan.Unassigned, "workers", workers)
	case t.alarm != "":
		t.config.Log.InfoContext(ctx, "all shards have a worker again")
	}
	t.alarm = alarm
}

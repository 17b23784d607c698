// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/rpc"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Metrics counts what admin-api does. No label names a user or a client.
type Metrics struct {
	calls       *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	refusals    *prometheus.CounterVec
	subscribes  *prometheus.CounterVec
	commits     *prometheus.CounterVec
	cursors     prometheus.Counter
	suspensions prometheus.Counter
	reports     *prometheus.CounterVec
	held        prometheus.Counter
	gone        *prometheus.CounterVec
	users       *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls:       counters("rpc_total", "Calls served, by procedure and Connect code.", "procedure", "code"),
		refusals:    counters("refused_total", "Public calls refused before they reached a procedure, by Connect code; unimplemented: there is no such procedure or method.", "code"),
		subscribes:  counters("subscribe_total", "Subscribe calls and rows of SubscribeMany, by outcome: permanent, not_permanent or a Connect code.", "outcome"),
		commits:     counters("cursor_commits_total", "Cursor commits, by result: stored, fenced or failed.", "result"),
		cursors:     counter("cursors_total", "Cursors that workers have committed."),
		suspensions: counter("suspensions_total", "Credentials suspended after a refused login."),
		reports:     counters("endpoint_reports_total", "Reports about endpoints, by verdict: none, kept, deleted, disabled or held.", "verdict"),
		held:        counter("held_gone_total", "Reports that an endpoint is gone after which its subscription goes on, for too many of its origin are."),
		gone:        counters("gone_total", "Steps of subscriptions whose endpoints are gone: disabled and kept, restored, deleted a week later.", "step"),
		users: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "mailpush", Subsystem: "admin", Name: "users",
			Help: "Users by what the decision comes to: permanent, or the check that says no. Each replica counts them all.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "mailpush", Subsystem: "admin", Name: "rpc_seconds",
			Help: "How long calls took, by procedure.", Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
		}, []string{"procedure"}),
	}
	for _, c := range []prometheus.Collector{
		m.calls, m.refusals, m.subscribes, m.commits, m.cursors, m.suspensions, m.reports, m.held, m.gone, m.users, m.seconds,
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, v := range []registry.Verdict{
		registry.VerdictNone, registry.VerdictKept, registry.VerdictDeleted, registry.VerdictDisabled, registry.VerdictHeld,
	} {
		m.reports.WithLabelValues(string(v))
	}
	for _, step := range []string{edge.GoneDisabled, edge.GoneRestored, edge.GoneDeleted} {
		m.gone.WithLabelValues(step)
	}
	return m, nil
}

// Gone counts a step of a subscription whose endpoint is gone.
func (m *Metrics) Gone(step string) { m.gone.WithLabelValues(step).Inc() }

// Census shows how many users there are.
func (m *Metrics) Census(c edge.Census) {
	m.users.WithLabelValues("permanent").Set(float64(c.Permanent))
	for check, n := range c.Refused {
		m.users.WithLabelValues(strings.ReplaceAll(check, " ", "_")).Set(float64(n))
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mailpush", Subsystem: "admin", Name: name, Help: help}, labels)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "mailpush", Subsystem: "admin", Name: name, Help: help})
}

// Refused counts a call that was refused before it reached a handler.
func (m *Metrics) Refused(code string) { m.refusals.WithLabelValues(code).Inc() }

// subscribed counts a Subscribe by what the caller got. That there is no permanent listener
// is no error: the subscription is stored, and may get one when the policy changes.
func (m *Metrics) subscribed(a edge.Answer, err error) {
	outcome := "permanent"
	switch {
	case err != nil:
		outcome = rpc.ToConnect(err).Code().String()
	case !a.Permanent:
		outcome = "not_permanent"
	}
	m.subscribes.WithLabelValues(outcome).Inc()
}

// committed counts a commit. Of one that was refused in part no cursors are counted: which
// of them were stored is not told.
func (m *Metrics) committed(rows, refused int, err error) {
	switch {
	case err != nil:
		m.commits.WithLabelValues("failed").Inc()
	case refused > 0:
		m.commits.WithLabelValues("fenced").Inc()
	default:
		m.commits.WithLabelValues("stored").Inc()
		m.cursors.Add(float64(rows))
	}
}

// judged counts verdicts. Those that are held have a counter of their own: any at all means
// that an origin is broken, however many reports there are.
func (m *Metrics) judged(verdicts []registry.Verdict) {
	for _, v := range verdicts {
		m.reports.WithLabelValues(string(v)).Inc()
		if v == registry.VerdictHeld {
			m.held.Inc()
		}
	}
}

// interceptor counts and times every call whose message could be read, by the code of its
// error. Those that are refused before are counted by [Metrics.Refused].
func (m *Metrics) interceptor() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			start := time.Now()
			res, err := next(ctx, req)
			code := "ok"
			if err != nil {
				code = rpc.ToConnect(err).Code().String()
			}
			m.calls.WithLabelValues(req.Spec().Procedure, code).Inc()
			m.seconds.WithLabelValues(req.Spec().Procedure).Observe(time.Since(start).Seconds())
			return res, err
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import "mailpush.internal/services/listener-worker/internal/deliver/pump"

// noteGone takes in what a pump says of an endpoint that may be gone. Each step shows in
// the log and in a metric: what follows from the last one is not undone by itself.
func (l *Loop) noteGone(lane *lane, effect pump.Effect) {
	switch effect := effect.(type) {
	case pump.Absent:
		l.metrics.gone.WithLabelValues(goneSuspected).Inc()
		l.cfg.Log.WarnContext(l.ctx, "an endpoint says that it is not there, evidence is gathered", about(lane)...)
	case pump.Present:
		l.metrics.gone.WithLabelValues(goneDropped).Inc()
		l.cfg.Log.InfoContext(l.ctx, "an endpoint is there after all", about(lane)...)
	case pump.EndpointGone:
		l.metrics.gone.WithLabelValues(goneProven).Inc()
		l.cfg.Log.WarnContext(l.ctx, "an endpoint is gone by all evidence", append(about(lane), "reason", effect.Reason)...)
		l.report(lane, EndpointReport{Outcome: Gone, Reason: effect.Reason})
	}
}

// The steps by which an endpoint is found to be gone, as a metric names them.
const (
	goneSuspected = "suspected"
	goneDropped   = "dropped"
	goneProven    = "proven"
)

// about says in a log which subscription is meant.
func about(lane *lane) []any {
	return []any{
		"context_id", lane.box.user.Context, "user_id", lane.box.user.ID, "subscription_id", lane.subscription.ID,
	}
}

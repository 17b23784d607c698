// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"slices"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// heed does what the registry has decided after a report.
func (l *Loop) heed(report EndpointReport, verdict Verdict) {
	switch verdict {
	case Unchanged, Kept:
	case Held:
		l.metrics.held.Inc()
		l.cfg.Log.WarnContext(l.ctx, "an endpoint is gone, its subscription goes on: too many of its origin are",
			"context_id", report.User.Context, "user_id", report.User.ID, "subscription_id", report.Subscription)
	case Deleted, Disabled:
		l.cfg.Log.InfoContext(l.ctx, "a subscription ends", "deleted", verdict == Deleted,
			"context_id", report.User.Context, "user_id", report.User.ID, "subscription_id", report.Subscription, "reason", report.Reason)
		l.end(report)
	}
}

// end stops the lanes of a subscription at once. The registry's next listing is
// without it, unless it has been renewed meanwhile.
func (l *Loop) end(report EndpointReport) {
	b := l.boxes[report.User]
	if b == nil || b.claim != report.Claim {
		return
	}
	over := func(subscription *transport.Subscription) bool {
		return subscription.ID == report.Subscription && subscription.Revision == report.Revision
	}
	// The list may be the caller's of Put: it is copied, not cut.
	b.subscriptions = slices.DeleteFunc(slices.Clone(b.subscriptions), over)
	b.lanes = slices.DeleteFunc(b.lanes, func(lane *lane) bool {
		ends := over(lane.subscription)
		if ends {
			l.remove(lane)
		}
		return ends
	})
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

const (
	checkMailbox  = "mailbox"
	checkEndpoint = "endpoint"

	// hurried is how long what is on its way needs no word.
	hurried = 5 * time.Second
)

// pushes walks one subscription: what is stored of it, then each folder as the owner
// delivers it.
func (w *walk) pushes(sub registry.Subscription) {
	from := len(w.steps)
	if w.subscribed(sub) && w.Owner.Said != nil {
		w.delivered(sub)
	}
	for i := range w.steps[from:] {
		w.steps[from+i].Subscription = sub.ID
	}
}

// subscribed tells whether the subscription is pushed to at all.
func (w *walk) subscribed(sub registry.Subscription) bool {
	const check = "subscription"
	switch {
	case sub.Disabled.Is && sub.Disabled.Gone:
		return w.no(check, EndpointGone, "its endpoint is gone: %s; disabled since %s, deleted at %s",
			sub.Disabled.Reason, stamp(sub.Disabled.At), stamp(sub.Disabled.KeptUntil()))
	case sub.Disabled.Is:
		return w.no(check, SubscriptionDisabled, "it is disabled since %s: %s", stamp(sub.Disabled.At), sub.Disabled.Reason)
	case !w.Policy.AllowedClients.Allow(sub.Client):
		return w.no(check, decide.ClientNotAllowed, "push.allowedClients does not name its client %s", sub.Client)
	}
	return w.yes(check, "client %s, at %s", sub.Client, sub.Endpoint.Origin)
}

// delivered walks the folders of a subscription.
func (w *walk) delivered(sub registry.Subscription) {
	known := false
	for _, d := range w.Owner.Said.GetDeliveries() {
		if d.GetDelivery().GetSubscriptionId() != sub.ID {
			continue
		}
		known = true
		w.read(d)
		w.accepted(d)
	}
	if !known && w.listening() {
		w.no(checkMailbox, NotDelivered, "worker %s does not deliver to it: it was told of it a moment ago, or has no transport of its kind", w.Owner.ID)
	}
}

// listening tells whether the listener is well, as far as was said.
func (w *walk) listening() bool {
	return slices.ContainsFunc(w.steps, func(s Step) bool { return s.Check == checkListener && s.Outcome == Yes })
}

// read says how far the folder has been served, and what is not to be announced.
func (w *walk) read(d *workerv1.ExplainedDelivery) {
	at, gone := d.GetDelivery(), d.GetUnannounced()
	folder := at.GetCursor().GetFolder()
	switch {
	case gone.GetReason() == workerv1.UnannouncedReason_UNANNOUNCED_REASON_CURSOR_AHEAD:
		w.note(checkMailbox, CursorAhead, "%s went back to end at UID %d at %s, and the cursor was ahead of it, at %d: a reset tells so, and what comes anew up to there is not announced",
			folder, gone.GetFirstUid()-1, stamp(gone.GetAt().AsTime()), gone.GetLastUid())
	case d.GetUnreadable():
		w.no(checkMailbox, MailboxUnreadable, "%s could not be read; the next try is at %s", folder, moment(at.GetNextTry()))
	case gone.GetReason() == workerv1.UnannouncedReason_UNANNOUNCED_REASON_GONE:
		w.note(checkMailbox, MailGone, "mail was gone from %s before its push, UID %d to %d, at %s", folder, gone.GetFirstUid(), gone.GetLastUid(), stamp(gone.GetAt().AsTime()))
	case at.GetLag() > 0:
		w.yes(checkMailbox, "%s is served up to UID %d of %d, mail waits since %s", folder, at.GetCursor().GetUid(), d.GetFolderEnd(), moment(at.GetOldestPending()))
	default:
		w.yes(checkMailbox, "%s is served up to its end, UID %d; %s", folder, at.GetCursor().GetUid(), lastPush(d))
	}
}

func lastPush(d *workerv1.ExplainedDelivery) string {
	if d.GetLastPush() == nil {
		return "the worker has pushed nothing yet"
	}
	return "the last push was accepted at " + stamp(d.GetLastPush().AsTime())
}

// accepted says what becomes of pushes.
func (w *walk) accepted(d *workerv1.ExplainedDelivery) {
	at := d.GetDelivery()
	switch {
	case d.GetUnmade():
		w.no(checkEndpoint, VaultDown, "no push can be made: %s", at.GetLastError())
	case at.GetState() == workerv1.DeliveryState_DELIVERY_STATE_UNCONFIRMED:
		w.no(checkEndpoint, EndpointUnconfirmed, "it has not answered the ping yet, and gets no mail; the last answer: %s%s",
			cmp.Or(at.GetLastError(), "none"), nextTry(at))
	case at.GetState() == workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN:
		w.no(checkEndpoint, OriginDown, "its origin fails whoever asks, since %s, and is tried now and then: %s%s",
			moment(d.GetOriginDownSince()), cmp.Or(d.GetOriginReason(), at.GetLastError()), nextTry(at))
	case d.GetLastResult() != "":
		w.no(checkEndpoint, resultCause(d.GetLastResult()), "it did not accept, %d times in a row: %s%s", at.GetFailures(), at.GetLastError(), nextTry(at))
	case at.GetState() == workerv1.DeliveryState_DELIVERY_STATE_GATHERING:
		w.note(checkEndpoint, Gathering, "more mail is gathered for the next push, until %s", moment(at.GetNextTry()))
	case at.GetOldestPending() != nil && w.Now.Sub(at.GetOldestPending().AsTime()) > hurried:
		w.note(checkEndpoint, OnItsWay, "mail is being read or sent, or waits for its turn, since %s", moment(at.GetOldestPending()))
	default:
		w.yes(checkEndpoint, "it wants pushes, and has refused none since the last it accepted")
	}
}

// resultCause is why an endpoint does not accept, by the class of its last answer.
func resultCause(result string) decide.Cause {
	switch result {
	case "gone":
		return EndpointGone
	case "auth":
		return EndpointRefuses
	case "misconfigured":
		return EndpointMisconfigured
	case "permanent_item":
		return MailRefused
	default:
		return EndpointDown
	}
}

func nextTry(d *workerv1.Delivery) string {
	if d.GetNextTry() == nil {
		return ""
	}
	return fmt.Sprintf("; the next try is at %s", moment(d.GetNextTry()))
}

// moment is a time for people, which may not be known.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return "a time that is not known"
	}
	return stamp(t.AsTime())
}

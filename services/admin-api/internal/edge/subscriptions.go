// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Delivery is what a worker reports of one subscription and folder.
type Delivery struct {
	Subscription           string
	Worker                 string
	State                  workerv1.DeliveryState
	Lag, Failures          uint32
	OldestPending, NextTry time.Time // zero when there is none
	LastError              string
}

// Standing is a subscription and how pushes to it fare.
type Standing struct {
	registry.Subscription

	State                         adminv1.SubscriptionState
	Lag                           uint32
	OldestPending, NextTry, Since time.Time // zero when there is none
	LastError                     string
	Worker                        string // empty when none reports
}

// Subscriptions returns a page of up to limit subscriptions above (afterKey, afterID),
// in natural order of users, with what their owners say of them, and whether more follow.
func (e *Edge) Subscriptions(
	ctx context.Context, of registry.UserID, afterKey, afterID string, limit int,
) (page []Standing, more bool, err error) {
	if of.User != "" && of.Context == "" {
		return nil, false, fault.Field("contextId", "is required, for userId is given")
	}
	list, err := e.Store.ListSubscriptions(ctx, of, afterKey, afterID, limit+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return nil, false, err
	}
	return e.standings(ctx, list, members.Workers), more, nil
}

// UserSubscriptions are all subscriptions of a user, oldest first, with what their owner
// says of them. That nobody can be asked is no error: what is stored is shown all the same.
func (e *Edge) UserSubscriptions(ctx context.Context, user registry.UserID) ([]Standing, error) {
	subs, err := e.Store.Subscriptions(ctx, user)
	if err != nil || len(subs) == 0 {
		return nil, err
	}
	found, err := e.Store.User(ctx, user)
	if err != nil && fault.KindOf(err) != fault.NotFound { // unsubscribed a moment ago
		return nil, err
	}
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		e.Log.WarnContext(ctx, "states of subscriptions are not known", "error", err)
	}
	list := make([]registry.Owned, len(subs))
	for i, sub := range subs {
		list[i] = registry.Owned{Subscription: sub, Store: found.Store}
	}
	return e.standings(ctx, list, members.Workers), nil
}

// standings asks the owners of subscriptions how they fare.
func (e *Edge) standings(ctx context.Context, list []registry.Owned, workers []Worker) []Standing {
	said, silent := ask(ctx, e.Log, e.byOwner(owners(list), workers), e.deliveries)
	deliveries := make(map[string][]Delivery, len(said))
	for _, d := range said {
		deliveries[d.Subscription] = append(deliveries[d.Subscription], d)
	}
	page := make([]Standing, len(list))
	for i, one := range list {
		page[i] = stand(one.Subscription, deliveries[one.ID], silent[one.UserID])
	}
	return page
}

// owners are the users of subscriptions in natural order, each once.
func owners(list []registry.Owned) []registry.User {
	var users []registry.User
	for _, o := range list {
		if last := len(users) - 1; last < 0 || users[last].UserID != o.UserID {
			users = append(users, registry.User{UserID: o.UserID, Store: o.Store})
		}
	}
	return users
}

// deliveries asks one worker.
func (e *Edge) deliveries(ctx context.Context, w *Worker, users []registry.UserID) ([]Delivery, error) {
	said, err := e.Workers.Deliveries(ctx, w.Address, users)
	for i := range said {
		said[i].Worker = cmp.Or(said[i].Worker, w.ID)
	}
	return said, err
}

// stand sums up what the registry knows and what the owner says of the folders. Only
// an owner can say that a subscription is active.
func stand(sub registry.Subscription, said []Delivery, silent string) Standing {
	line := Standing{Subscription: sub, LastError: sub.Endpoint.LastError, Since: sub.Endpoint.FailingSince}
	if sub.Disabled.Is {
		line.State = adminv1.SubscriptionState_SUBSCRIPTION_STATE_DISABLED
		line.LastError, line.Since = sub.Disabled.Reason, sub.Disabled.At
		return line
	}
	if silent != "" {
		line.Worker, line.LastError = silent, "worker "+silent+" did not answer"
		return line
	}
	trouble := ""
	for _, d := range said {
		line.Worker = d.Worker
		line.State = worse(line.State, stateOf(d))
		line.Lag += min(d.Lag, math.MaxUint32-line.Lag)
		line.OldestPending = earlier(line.OldestPending, d.OldestPending)
		line.NextTry = earlier(line.NextTry, d.NextTry)
		trouble = cmp.Or(trouble, d.LastError)
	}
	line.LastError = cmp.Or(trouble, line.LastError)
	if line.State == adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE {
		line.LastError, line.Since = "", time.Time{}
	}
	return line
}

// worse is the one of two states that counts when folders differ.
func worse(a, b adminv1.SubscriptionState) adminv1.SubscriptionState {
	order := []adminv1.SubscriptionState{
		adminv1.SubscriptionState_SUBSCRIPTION_STATE_UNSPECIFIED,
		adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE,
		adminv1.SubscriptionState_SUBSCRIPTION_STATE_UNCONFIRMED,
		adminv1.SubscriptionState_SUBSCRIPTION_STATE_WAITING_FOR_ITS_ORIGIN,
		adminv1.SubscriptionState_SUBSCRIPTION_STATE_FAILING,
		adminv1.SubscriptionState_SUBSCRIPTION_STATE_DISABLED,
	}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// stateOf says what a delivery means for its subscription.
func stateOf(d Delivery) adminv1.SubscriptionState {
	switch d.State {
	case workerv1.DeliveryState_DELIVERY_STATE_UNCONFIRMED:
		return adminv1.SubscriptionState_SUBSCRIPTION_STATE_UNCONFIRMED
	case workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN:
		return adminv1.SubscriptionState_SUBSCRIPTION_STATE_WAITING_FOR_ITS_ORIGIN
	case workerv1.DeliveryState_DELIVERY_STATE_BACKOFF:
		return adminv1.SubscriptionState_SUBSCRIPTION_STATE_FAILING
	case workerv1.DeliveryState_DELIVERY_STATE_IDLE, workerv1.DeliveryState_DELIVERY_STATE_BUSY,
		workerv1.DeliveryState_DELIVERY_STATE_GATHERING:
		if d.Failures > 0 {
			return adminv1.SubscriptionState_SUBSCRIPTION_STATE_FAILING
		}
		return adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE
	case workerv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED:
	}
	return adminv1.SubscriptionState_SUBSCRIPTION_STATE_UNSPECIFIED
}

// earlier is the first of two moments, of which either may not be known.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

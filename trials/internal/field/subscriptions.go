// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	abreast     = 8      // subscriptions are made at once
	mostOfAPage = 10_000 // listeners fit into one page
)

// group are users of one tenant with one subscription each. The name of a user is its login
// and the path of its endpoint, too.
type group struct {
	tenant string
	users  []string

	mu      sync.Mutex
	secrets map[string]string // by user
}

// newGroup names n users.
func newGroup(tenant, name string, n int) *group {
	g := &group{tenant: tenant, secrets: make(map[string]string)}
	for i := range n {
		g.users = append(g.users, fmt.Sprintf("%s-%d", name, i))
	}
	return g
}

// request asks for pushes of a user's mail at a mail store.
func (g *group) request(store, user, url string) *pushv1.SubscribeRequest {
	return &pushv1.SubscribeRequest{
		ContextId: g.tenant, UserId: user, ClientId: "field", Topics: []string{"mail:new"}, Content: mailv1.Content_CONTENT_ENVELOPE,
		Account: &pushv1.Account{MailStore: store, Login: user, Password: rig.Password},
		Webhook: &pushv1.Webhook{Url: url},
	}
}

// subscribe subscribes all users of a group, each to the URL of its path.
func (w *World) subscribe(ctx context.Context, store string, g *group, url func(path string) string) error {
	all, within := errgroup.WithContext(ctx)
	all.SetLimit(abreast)
	for _, user := range g.users {
		all.Go(func() error {
			answer, err := w.subscribeOne(within, g.request(store, user, url(user)))
			if err != nil {
				return err
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.secrets[user] = answer.GetWebhookSecret()
			return nil
		})
	}
	return all.Wait()
}

// subscribeOne subscribes one user. Processes that have just been started may need a while
// before they take it.
func (w *World) subscribeOne(ctx context.Context, request *pushv1.SubscribeRequest) (*pushv1.SubscribeResponse, error) {
	var answer *connect.Response[pushv1.SubscribeResponse]
	var refused error
	err := await(ctx, "a subscription", settle, func(ctx context.Context) (err error) {
		answer, err = w.mailpush.Push().Subscribe(ctx, connect.NewRequest(request))
		if err != nil && connect.CodeOf(err) != connect.CodeUnavailable {
			refused, err = err, nil
		}
		return err
	})
	switch {
	case refused != nil:
		return nil, fmt.Errorf("subscribing %s@%s: %w", request.GetUserId(), request.GetContextId(), refused)
	case err != nil:
		return nil, fmt.Errorf("subscribing %s@%s: %w", request.GetUserId(), request.GetContextId(), err)
	case !answer.Msg.GetPermanent():
		return answer.Msg, fmt.Errorf("subscribing %s@%s: %w: %s", request.GetUserId(), request.GetContextId(), errNoListener, answer.Msg.GetReason())
	}
	return answer.Msg, nil
}

// errNoListener is why a subscription that was stored is not served.
var errNoListener = errors.New("no permanent listener")

// listed are the subscriptions of a group, by user.
func (w *World) listed(ctx context.Context, g *group) (map[string][]*adminv1.Subscription, error) {
	found := make(map[string][]*adminv1.Subscription)
	for _, user := range g.users {
		found[user] = nil
	}
	token := ""
	for {
		page, err := w.mailpush.Admin.ListSubscriptions(ctx, connect.NewRequest(&adminv1.ListSubscriptionsRequest{ContextId: g.tenant, PageToken: token}))
		if err != nil {
			return nil, fmt.Errorf("listing subscriptions: %w", err)
		}
		for _, subscription := range page.Msg.GetSubscriptions() {
			if _, ours := found[subscription.GetUserId()]; ours {
				found[subscription.GetUserId()] = append(found[subscription.GetUserId()], subscription)
			}
		}
		if token = page.Msg.GetNextPageToken(); token == "" {
			return found, nil
		}
	}
}

// ended counts the users whose subscription is not there, or is disabled.
func (w *World) ended(ctx context.Context, g *group) (int, error) {
	found, err := w.listed(ctx, g)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, subscriptions := range found {
		if len(subscriptions) == 0 || subscriptions[0].GetState() == adminv1.SubscriptionState_SUBSCRIPTION_STATE_DISABLED {
			n++
		}
	}
	return n, nil
}

// hurry has all that is pending for a group tried at once, as an operator does who knows
// that the endpoints are well again.
func (w *World) hurry(ctx context.Context, g *group) error {
	found, err := w.listed(ctx, g)
	if err != nil {
		return err
	}
	for _, subscriptions := range found {
		for _, subscription := range subscriptions {
			request := connect.NewRequest(&adminv1.EnableSubscriptionRequest{SubscriptionId: subscription.GetSubscriptionId()})
			if _, err := w.mailpush.Admin.EnableSubscription(ctx, request); err != nil {
				return fmt.Errorf("enabling the subscription of %s: %w", subscription.GetUserId(), err)
			}
		}
	}
	return nil
}

// deadLetters counts those of a group.
func (w *World) deadLetters(ctx context.Context, g *group) (int, error) {
	found, err := w.listed(ctx, g)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, subscriptions := range found {
		for _, subscription := range subscriptions {
			request := connect.NewRequest(&adminv1.ListDeadLettersRequest{SubscriptionId: subscription.GetSubscriptionId()})
			page, err := w.mailpush.Admin.ListDeadLetters(ctx, request)
			if err != nil {
				return 0, fmt.Errorf("listing dead letters: %w", err)
			}
			n += len(page.Msg.GetDeadLetters())
		}
	}
	return n, nil
}

// idle counts the users of a group whose listeners are in IDLE.
func (w *World) idle(ctx context.Context, g *group) (int, error) {
	return w.inState(ctx, g, mailv1.ListenerState_LISTENER_STATE_IDLE)
}

// inState counts the users of a group whose listeners are in a state.
func (w *World) inState(ctx context.Context, g *group, state mailv1.ListenerState) (int, error) {
	wanted := make(map[string]bool)
	for _, user := range g.users {
		wanted[user] = true
	}
	n, token := 0, ""
	for {
		page, err := w.mailpush.Admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{
			ContextId: g.tenant, PageToken: token, PageSize: mostOfAPage,
		}))
		if err != nil {
			return 0, fmt.Errorf("listing listeners: %w", err)
		}
		for _, user := range page.Msg.GetPushUsers() {
			if wanted[user.GetUserId()] && user.GetState() == state {
				n++
			}
		}
		if token = page.Msg.GetNextPageToken(); token == "" {
			return n, nil
		}
	}
}

// awaitIdle waits until so many users of a group are in IDLE.
func (w *World) awaitIdle(ctx context.Context, within time.Duration, g *group, want int) error {
	return w.awaitState(ctx, within, g, want, mailv1.ListenerState_LISTENER_STATE_IDLE)
}

// awaitState waits until so many users of a group are in a state.
func (w *World) awaitState(ctx context.Context, within time.Duration, g *group, want int, state mailv1.ListenerState) error {
	return await(ctx, "listeners", within, func(ctx context.Context) error {
		n, err := w.inState(ctx, g, state)
		if err == nil && n != want {
			err = fmt.Errorf("%d of %d are in %s", n, want, state)
		}
		return err
	})
}

// deliver delivers one mail to each user of groups at the double.
func (w *World) deliver(groups ...*group) {
	for _, g := range groups {
		for _, user := range g.users {
			w.store.DeliverTo(user)
		}
	}
}

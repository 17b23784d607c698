// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/trials/internal/rig"
)

// strangers asks about somebody whom nobody has registered.
func (w *world) strangers(ctx context.Context) error {
	return w.expect(ctx, "a user that never was", "nobody", "not-registered", "no client is registered")
}

// endpoints breaks endpoints, each of a user of its own. The last one's origin is its own.
func (w *world) endpoints(ctx context.Context) error {
	for user, status := range map[string]int{
		"endpoint-silent": http.StatusServiceUnavailable, "endpoint-down": 0, "endpoint-gone": 0, "sub-disabled": 0,
	} {
		if status != 0 {
			w.receiver.set(user, status)
		}
		id, err := w.subscribe(ctx, subscription{user: user, store: rig.StoreName, url: w.receiver.URL()})
		if err != nil {
			return err
		}
		if user == "sub-disabled" {
			request := connect.NewRequest(&adminv1.DisableSubscriptionRequest{SubscriptionId: id, Reason: "the receiver is being moved"})
			if _, err := w.mailpush.Admin.DisableSubscription(ctx, request); err != nil {
				return err
			}
		}
	}
	if err := w.expect(ctx, "endpoint unconfirmed", "endpoint-silent", "endpoint-unconfirmed", "has not answered the ping"); err != nil {
		return err
	}
	if err := w.well(ctx, "endpoint-down", "endpoint-gone"); err != nil {
		return err
	}
	w.receiver.set("endpoint-down", http.StatusInternalServerError)
	w.receiver.set("endpoint-gone", http.StatusGone)
	w.wellStore.DeliverTo("endpoint-down")
	w.wellStore.DeliverTo("endpoint-gone")
	if err := w.expect(ctx, "endpoint down", "endpoint-down", "endpoint-down", "the endpoint answered 500"); err != nil {
		return err
	}
	if err := w.expect(ctx, "endpoint 410", "endpoint-gone", "endpoint-gone", "the endpoint answered 410"); err != nil {
		return err
	}
	if err := w.expect(ctx, "subscription disabled", "sub-disabled", "subscription-disabled", "the receiver is being moved"); err != nil {
		return err
	}
	if err := w.originDown(ctx); err != nil {
		return err
	}
	return w.gathers(ctx)
}

// originDown takes a server away that several endpoints share.
func (w *world) originDown(ctx context.Context) error {
	away, err := newReceiver()
	if err != nil {
		return err
	}
	var users []string
	for n := range 3 {
		users = append(users, fmt.Sprintf("origin-down-%d", n))
		if _, err := w.subscribe(ctx, subscription{user: users[n], store: rig.StoreName, url: away.URL()}); err != nil {
			away.Close()
			return err
		}
	}
	err = w.well(ctx, users...)
	away.Close()
	if err != nil {
		return err
	}
	for _, user := range users {
		w.wellStore.DeliverTo(user)
	}
	return w.expect(ctx, "origin's breaker open", users[0], "origin-down", "its origin fails whoever asks")
}

// gathers has mail come all the time: the window after a push grows, and mail waits in it.
func (w *world) gathers(ctx context.Context) error {
	const user = "gathering"
	if _, err := w.subscribe(ctx, subscription{user: user, store: rig.StoreName, url: w.receiver.URL(), mode: mailv1.Mode_MODE_BATCH}); err != nil {
		return err
	}
	if err := w.well(ctx, user); err != nil {
		return err
	}
	arriving, end := context.WithCancel(ctx)
	var mails sync.WaitGroup
	mails.Go(func() {
		for rig.Pause(arriving, pollEvery) == nil {
			w.wellStore.DeliverTo(user)
		}
	})
	err := w.expect(ctx, "mode gathering (window open)", user, "gathering", "more mail is gathered for the next push")
	end()
	mails.Wait()
	return err
}

// folders has mails be gone, and a folder end before the cursor.
func (w *world) folders(ctx context.Context) error {
	for user, store := range map[string]string{"mail-gone": storeGone, "cursor-ahead": storeRewound} {
		if _, err := w.subscribe(ctx, subscription{user: user, store: store, url: w.receiver.URL()}); err != nil {
			return err
		}
	}
	w.rewound.Folder.Add(5)
	w.rewound.Folder.Announce()
	if err := w.well(ctx, "mail-gone", "cursor-ahead"); err != nil {
		return err
	}
	w.rewound.Folder.Rewind(2)
	w.rewound.Folder.Announce()
	gone := w.goneMail.Folder.Add(1)
	w.goneMail.Folder.Expunge(gone, gone)
	w.goneMail.Folder.Announce()
	if err := w.expect(ctx, "cursor ahead of the mailbox", "cursor-ahead", "cursor-ahead", "and the cursor was ahead of it, at 5"); err != nil {
		return err
	}
	return w.expect(ctx, "mail gone before its push", "mail-gone", "mail-gone", "mail was gone from INBOX before its push, UID 1 to 1")
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// completionTime is how long a shell waits for a server that completes an id.
const completionTime = 2 * time.Second

// offer takes one id that may be meant, and what tells it from others.
type offer func(id string, about ...string)

// ids are what a server knows to complete a word with. What it has offered before an
// error counts.
type ids func(ctx context.Context, c *client, out offer)

// completeFirst completes the first word after a command with ids that the server
// knows. Whatever goes wrong is silence: a shell in the middle of a line has no place
// for an error, and the command itself will tell.
func (a *app) completeFirst(list ids) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// Standard input is the terminal's, and not for a password here.
		a.stdin = strings.NewReader("")
		c, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		var found []cobra.Completion
		list(ctx, c, func(id string, about ...string) {
			// A shell takes the word as it is: one that speaks to the terminal is none.
			if strings.HasPrefix(id, typed) && id == printable(id) && !strings.Contains(id, " ") {
				found = append(found, cobra.CompletionWithDesc(id, printable(strings.Join(about, ", "))))
			}
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// workerIDs are those of the live workers that drain, or that do not.
func workerIDs(draining bool) ids {
	return func(ctx context.Context, c *client, out offer) {
		answer, err := call(ctx, c, c.admin.ListWorkers, &adminv1.ListWorkersRequest{})
		if err != nil {
			return
		}
		for _, w := range answer.GetWorkers() {
			if w.GetDraining() == draining {
				out(w.GetId(), orDash(w.GetAddress()), count(w.GetListeners())+" listeners")
			}
		}
	}
}

// subscriptionIDs are those of all subscriptions, as far as they come in time.
func subscriptionIDs(ctx context.Context, c *client, out offer) {
	_, _ = collect(c, func(token string) ([]*adminv1.Subscription, string, error) {
		page, err := call(ctx, c, c.admin.ListSubscriptions, &adminv1.ListSubscriptionsRequest{PageToken: token})
		for _, s := range page.GetSubscriptions() {
			out(s.GetSubscriptionId(), userText(s), s.GetClientId(), subscriptionState(s.GetState()))
		}
		return nil, page.GetNextPageToken(), err
	})
}

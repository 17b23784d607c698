// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

const aboutSubscriptions = `subscriptions lists where pushes go and how they fare, of all users, of one context or
of one user. The state is what the worker that serves a subscription says of it:

  active       pushes are accepted
  unconfirmed  the endpoint has not answered the ping yet, and gets no mails
  failing      pushes are not accepted at the moment; they are tried again, and the
               subscription is disabled when that goes on for five days
  waiting for its origin
               there is something to push, but its server fails whoever asks, and is
               tried with one endpoint now and then
  disabled     nothing is pushed until it is enabled; its place in the mailbox is kept.
               Where the endpoint is gone, it is kept until the time that is shown
               and then deleted, unless it is restored
  unknown      no worker reports it: its user has no listener, or the worker is silent

Lag is how many UIDs lie between what has been pushed and the ends of the folders. The
wide output also shows the worker, since when it is so, the next try, and the cursors.`

const exampleSubscriptions = `  Where do pushes not arrive, and why?
    pushusers subscriptions --output json |
      jq '.subscriptions[] | select(.state != "SUBSCRIPTION_STATE_ACTIVE")'

  One user's, with all there is to know:
    pushusers subscriptions 249@1 --output wide

  Is an endpoint up again? Then go on where it stopped:
    pushusers subscriptions test sub_nb2w45dfoizajzazx4i6qkwkaq
    pushusers subscriptions enable sub_nb2w45dfoizajzazx4i6qkwkaq

  Is an endpoint there again that was gone?
    pushusers subscriptions restore sub_nb2w45dfoizajzazx4i6qkwkaq

  A receiver has lost what it got since UID 4711:
    pushusers subscriptions replay sub_nb2w45dfoizajzazx4i6qkwkaq --from 4711`

func (a *app) subscriptionsCommand() *cobra.Command {
	var of whose
	cmd := &cobra.Command{
		Use:     "subscriptions [USER@CONTEXT]",
		Short:   "List where pushes go and how they fare, and look after them",
		Long:    aboutSubscriptions,
		Example: exampleSubscriptions,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && !strings.Contains(args[0], "@") && didYouMean(cmd, args[0]) != "" {
				return unexpected(cmd, args[0])
			}
			return atMostOne(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listSubscriptions(cmd.Context(), of, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	of.register(cmd.Flags())
	cmd.AddCommand(a.enableCommand(), a.disableCommand(), a.restoreCommand(), a.replayCommand(), a.testCommand(), a.deadLettersCommand())
	for _, sub := range cmd.Commands() {
		sub.ValidArgsFunction = a.completeFirst(subscriptionIDs)
	}
	return cmd
}

func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("unexpected argument %q", args[1])
	}
	return nil
}

func (a *app) listSubscriptions(ctx context.Context, of whose, who []string) error {
	userID, contextID, err := of.resolve()
	if err != nil {
		return err
	}
	if len(who) > 0 {
		if of != (whose{}) {
			return usagef("USER@CONTEXT and --context, or --user, are mutually exclusive")
		}
		if userID, contextID, err = userAtContext(who[0]); err != nil {
			return err
		}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	list, err := collect(c, func(token string) ([]*adminv1.Subscription, string, error) {
		page, err := call(ctx, c, c.admin.ListSubscriptions,
			&adminv1.ListSubscriptionsRequest{PageToken: token, ContextId: contextID, UserId: userID})
		return page.GetSubscriptions(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(x, y *adminv1.Subscription) int {
		return cmp.Or(naturalCompare(x.GetContextId(), y.GetContextId()), naturalCompare(x.GetUserId(), y.GetUserId()),
			naturalCompare(x.GetClientId(), y.GetClientId()), naturalCompare(x.GetDeviceId(), y.GetDeviceId()),
			cmp.Compare(x.GetSubscriptionId(), y.GetSubscriptionId()))
	})
	if a.output == outputJSON {
		return writeJSON(a.stdout, &adminv1.ListSubscriptionsResponse{Subscriptions: list})
	}
	a.writeSubscriptions(list)
	return nil
}

func (a *app) writeSubscriptions(list []*adminv1.Subscription) {
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "No subscriptions.")
		return
	}
	columns := []column{
		{"Subscription", false}, {"User", false}, {"Client", false}, {"Origin", false}, {"Mode", false}, {"State", false},
		{"Lag", true}, {"Last error", false}, {"Device", false}, {"Transport", false}, {"Worker", false}, {"Since", false},
		{"Oldest pending", false}, {"Next try", false}, {"Created", false}, {"Cursors", false},
	}
	if a.output != outputWide {
		columns = columns[:8]
	}
	var rows [][]string
	for _, s := range list {
		row := []string{
			s.GetSubscriptionId(), userText(s), s.GetClientId(), orDash(s.GetOrigin()),
			modeText(s.GetMode()), subscriptionState(s.GetState()), count(s.GetLag()), orDash(lastError(s)),
			orDash(s.GetDeviceId()), orDash(s.GetTransport()), orDash(s.GetWorker()), timeText(s.GetSince()), timeText(s.GetOldestPending()),
			timeText(s.GetNextTry()), timeText(s.GetCreatedAt()), cursorsText(s.GetCursors()),
		}
		rows = append(rows, row[:len(columns)])
	}
	writeTable(a.stdout, columns, rows)
}

// lastError is why a subscription is not well, and until when it is kept, where that is the
// question.
func lastError(s *adminv1.Subscription) string {
	if s.GetKeptUntil() == nil {
		return s.GetLastError()
	}
	return "kept until " + timeText(s.GetKeptUntil()) + ", " + s.GetLastError()
}

func subscriptionState(state adminv1.SubscriptionState) string {
	if state == adminv1.SubscriptionState_SUBSCRIPTION_STATE_UNSPECIFIED {
		return "unknown"
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(state.String(), "SUBSCRIPTION_STATE_")), "_", " ")
}

func modeText(mode mailv1.Mode) string {
	if mode == mailv1.Mode_MODE_UNSPECIFIED {
		return "-"
	}
	return strings.ToLower(strings.TrimPrefix(mode.String(), "MODE_"))
}

// cursorsText writes each cursor as folder/UIDVALIDITY/UID.
func cursorsText(list []*mailv1.Cursor) string {
	texts := make([]string, len(list))
	for i, c := range list {
		texts[i] = fmt.Sprintf("%s/%d/%d", c.GetFolder(), c.GetUidValidity(), c.GetUid())
	}
	return orDash(strings.Join(texts, " "))
}

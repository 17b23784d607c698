// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"

	"github.com/spf13/cobra"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// exampleID is the one subscription that is meant, in examples.
const exampleID = "sub_nb2w45dfoizajzazx4i6qkwkaq"

const aboutEnable = `enable lets a disabled subscription go on at its place in the mailbox: what has come
since is pushed, as far as it is still in the folder. Of one that is enabled already
the endpoint is tried again at once, however long the next try would have waited.`

const aboutRestore = `restore lets a subscription go on whose endpoint was gone: it has said so twice, at
least a minute apart, or nothing but that it is not there for a day. Such a subscription
is disabled and kept for a week, with its place in the mailbox and its user's login, and
deleted after that. What has come since is pushed, as far as it is still in the folder. A
new Subscribe of the same client and device restores it, too. One that is disabled for
another reason is not restored but enabled.`

const aboutDisable = `disable pushes nothing more to a subscription. Its place in the mailbox is kept, the
user's listener runs on, and enable lets it go on. A new Subscribe of the same client
and device enables it, too. The reason is shown to whoever lists subscriptions.`

const aboutReplay = `replay pushes again what a folder holds from a UID on, that mail included. The event
ids are those of the first time, so that a receiver can tell what it knows already.
What has been expunged since is not pushed again. --from is at most one above what has
been pushed; the cursors in 'pushusers subscriptions --output wide' say how far that is.`

const aboutTest = `test has a worker send one signed push that announces no mail, and tells what the
endpoint answered. It changes nothing, and a disabled subscription can be tested, too.
The exit code is 5 when the endpoint did not accept it. The answer means one of

  ok              accepted
  retry           not now: a mail would be tried again
  permanent_item  not this push: a mail would be stepped over, on evidence that others
                  are accepted
  gone            it is not there: the subscription would be disabled, on evidence that
                  this lasts
  auth            the endpoint does not trust us
  misconfigured   the URL cannot be pushed to`

// guide is what the help says of a command on one subscription.
type guide struct {
	verb, short, long string
	options           string // of the example
}

// idCommand is a command on one subscription.
func idCommand(g guide, run func(ctx context.Context, id string) error) *cobra.Command {
	return &cobra.Command{
		Use:     g.verb + " ID",
		Short:   g.short,
		Long:    g.long,
		Example: "  pushusers subscriptions " + g.verb + " " + exampleID + g.options,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usagef("%s needs one ID, as in 'pushusers subscriptions'", g.verb)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args[0]) },
	}
}

func (a *app) enableCommand() *cobra.Command {
	g := guide{verb: "enable", short: "Let a disabled subscription go on", long: aboutEnable}
	return idCommand(g, func(ctx context.Context, id string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.EnableSubscription, &adminv1.EnableSubscriptionRequest{SubscriptionId: id})
		if err != nil {
			return err
		}
		return a.done(answer, "Subscription %s is enabled.", id)
	})
}

func (a *app) restoreCommand() *cobra.Command {
	g := guide{verb: "restore", short: "Let a subscription go on whose endpoint was gone", long: aboutRestore}
	return idCommand(g, func(ctx context.Context, id string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.RestoreSubscription, &adminv1.RestoreSubscriptionRequest{SubscriptionId: id})
		if err != nil {
			return err
		}
		return a.done(answer, "Subscription %s is restored.", id)
	})
}

func (a *app) disableCommand() *cobra.Command {
	var reason string
	g := guide{
		verb: "disable", short: "Push nothing more to a subscription", long: aboutDisable,
		options: " --reason 'answers with 500 since the release'",
	}
	cmd := idCommand(g, func(ctx context.Context, id string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.DisableSubscription,
			&adminv1.DisableSubscriptionRequest{SubscriptionId: id, Reason: reason})
		if err != nil {
			return err
		}
		return a.done(answer, "Subscription %s is disabled.", id)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks at it later")
	return cmd
}

func (a *app) replayCommand() *cobra.Command {
	var folder string
	var from uint32
	g := guide{
		verb: "replay", short: "Push again what a folder holds", long: aboutReplay, options: " --from 4711",
	}
	cmd := idCommand(g, func(ctx context.Context, id string) error {
		if from == 0 {
			return usagef("replay needs --from, the first UID to push again")
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.ReplaySubscription,
			&adminv1.ReplaySubscriptionRequest{SubscriptionId: id, Folder: folder, FromUid: from})
		if err != nil {
			return err
		}
		return a.done(answer, "Subscription %s goes on after UID %d of %s.", id, answer.GetCursor().GetUid(), answer.GetCursor().GetFolder())
	})
	cmd.Flags().Uint32Var(&from, "from", 0, "the first `UID` to push again")
	cmd.Flags().StringVar(&folder, "folder", "", "the `folder` (default INBOX)")
	return cmd
}

func (a *app) testCommand() *cobra.Command {
	g := guide{verb: "test", short: "Send a push that announces no mail", long: aboutTest}
	return idCommand(g, func(ctx context.Context, id string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.TestSubscription, &adminv1.TestSubscriptionRequest{SubscriptionId: id})
		if err != nil {
			return err
		}
		err = a.done(answer, "%s: %s", answer.GetResult(), answer.GetDetail())
		if err == nil && !answer.GetAccepted() {
			return failf(exitServer, "the endpoint of subscription %s did not accept the push", printable(id))
		}
		return err
	})
}

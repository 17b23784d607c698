// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailpush.internal/pkg/userid"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

const aboutUsers = `users shows, disables and enables one user.

A disabled user has no listener, and nothing is pushed. Login, subscriptions and their
places in the mailbox are kept, so that enable has pushes go on where they stopped: what
has come meanwhile is pushed, as far as it is still in the folder.`

const aboutDisableUser = `disable ends a user's listener and pushes within seconds, until enable. It outlives the
user's subscriptions: who unsubscribes and subscribes anew is disabled still. The reason
is shown to whoever looks, and Subscribe answers it to applications. Of a user who is
disabled already only the reason changes, where one is given.`

func (a *app) usersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "users",
		Short:             "Show a user, have nothing done for one, or something again",
		Long:              aboutUsers,
		Args:              noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(a.disableUserCommand(), a.enableUserCommand(), a.showUserCommand())
	return cmd
}

// userCommand is a command on one user.
func userCommand(g guide, run func(ctx context.Context, userID, contextID string) error) *cobra.Command {
	var of who
	cmd := &cobra.Command{
		Use:     g.verb + " USER@CONTEXT",
		Short:   g.short,
		Long:    g.long,
		Example: "  pushusers users " + g.verb + " 249@1" + g.options,
		Args:    func(_ *cobra.Command, args []string) error { return of.check(g.verb, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			userID, contextID, err := of.names(args)
			if err != nil {
				return err
			}
			return run(cmd.Context(), userID, contextID)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	of.register(cmd.Flags())
	return cmd
}

func (a *app) disableUserCommand() *cobra.Command {
	var reason string
	g := guide{verb: "disable", short: "Push nothing more to a user", long: aboutDisableUser, options: " --reason 'account is being moved'"}
	cmd := userCommand(g, func(ctx context.Context, userID, contextID string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.DisableUser,
			&adminv1.DisableUserRequest{ContextId: contextID, UserId: userID, Reason: reason})
		if err != nil {
			return err
		}
		if answer.GetAlready() {
			return a.done(answer, "User %s was disabled already.", userid.Join(userID, contextID))
		}
		return a.done(answer, "User %s is disabled.", userid.Join(userID, contextID))
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks at it later")
	return cmd
}

func (a *app) enableUserCommand() *cobra.Command {
	g := guide{
		verb: "enable", short: "Let the pushes of a disabled user go on",
		long: "enable lets the pushes of a disabled user go on where they stopped.",
	}
	return userCommand(g, func(ctx context.Context, userID, contextID string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.EnableUser, &adminv1.EnableUserRequest{ContextId: contextID, UserId: userID})
		if err != nil {
			return err
		}
		if answer.GetAlready() {
			return a.done(answer, "User %s was not disabled.", userid.Join(userID, contextID))
		}
		return a.done(answer, "User %s is enabled.", userid.Join(userID, contextID))
	})
}

func (a *app) showUserCommand() *cobra.Command {
	g := guide{
		verb: "show", short: "Show what is registered for a user",
		long: "show prints what is registered for a user, and whether the user is disabled. Why there\nis, or is no, listener 'pushusers explain' says.",
	}
	return userCommand(g, func(ctx context.Context, userID, contextID string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		answer, err := call(ctx, c, c.admin.GetUser, &adminv1.GetUserRequest{ContextId: contextID, UserId: userID})
		if err != nil {
			return err
		}
		if a.output == outputJSON {
			return writeJSON(a.stdout, answer)
		}
		a.writeUser(answer.GetUser())
		return nil
	})
}

func (a *app) writeUser(user *adminv1.User) {
	subscriptions := count(user.GetSubscriptions())
	if n := user.GetDisabledSubscriptions(); n > 0 {
		subscriptions += fmt.Sprintf(", %s of them disabled", count(n))
	}
	writeTable(a.stdout, []column{{"User", false}, {userText(user), false}}, [][]string{
		{"State", userState(user)},
		{"Mail store", orDash(user.GetMailStore())},
		{"Login", loginText(user)},
		{"Clients", orDash(strings.Join(user.GetClientIds(), ", "))},
		{"Subscriptions", subscriptions},
	})
}

func userState(user *adminv1.User) string {
	if user.GetEnabled() {
		return "enabled"
	}
	text := "disabled"
	if user.GetDisabledAt() != nil {
		text += " since " + timeText(user.GetDisabledAt()) + " by " + actorText(user.GetDisabledBy())
	}
	if reason := user.GetDisabledReason(); reason != "" {
		text += ": " + reason
	}
	return text
}

// loginText is what opens the user's mailbox.
func loginText(user *adminv1.User) string {
	kind := map[string]string{
		"password": "a password", "master": "the operator's master user", "doveadm": "doveadm",
	}[user.GetCredentialKind()]
	switch state := user.GetCredentialState(); {
	case state == adminv1.CredentialState_CREDENTIAL_STATE_SUSPENDED:
		return "suspended: " + user.GetCredentialReason()
	case kind == "" || state == adminv1.CredentialState_CREDENTIAL_STATE_NONE && user.GetCredentialKind() != "doveadm":
		return "-"
	default:
		return kind
	}
}

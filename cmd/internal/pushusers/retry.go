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

const aboutRetry = `retry has listeners try again at once that are in back-off: those of a mail store, that
of one user, or with --all every one. They go in turn, the longest unserved first, as
fast as connectsPerSecond of their mail store allows.

It is seldom needed. While a mail store is down a few listeners find out every ten
seconds at most whether it is back, and the first that is served ends the waits of the
others. It helps where something else was mended, such as one mailbox, a limit of the
mail store or the master user's password. Where the mail store is down still, the first
few find out and the others wait on.

A suspended listener is not tried: its mail store refused the password, and trying it
again may lock the account. A new Subscribe with a login that works resumes it.`

func (a *app) retryCommand() *cobra.Command {
	var store string
	var all bool
	var of who
	cmd := &cobra.Command{
		Use:               "retry [USER@CONTEXT]",
		Short:             "Have listeners in back-off try again at once",
		Long:              aboutRetry,
		Example:           "  pushusers retry --store demo\n  pushusers retry 249@1\n  pushusers retry --user anna --context b@c\n  pushusers retry --all",
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if of != (who{}) {
				if err := of.check("retry", args); err != nil {
					return err
				}
				args = []string{userid.Join(of.user, of.context)}
			}
			request, err := retryRequest(args, store, cmd.Flags().Changed("store"), all)
			if err != nil {
				return err
			}
			return a.retry(cmd.Context(), request)
		},
	}
	cmd.Flags().StringVar(&store, "store", "", "the listeners of this mail `store`, as configured in mail.stores")
	cmd.Flags().BoolVar(&all, "all", false, "the listeners of all mail stores")
	of.register(cmd.Flags())
	return cmd
}

// retryRequest is what is meant, which is one thing: who leaves it out may not mean all.
func retryRequest(args []string, store string, byStore, all bool) (*adminv1.RetryRequest, error) {
	named := len(args)
	for _, by := range []bool{byStore, all} {
		if by {
			named++
		}
	}
	switch {
	case named == 0:
		return nil, usagef("retry needs USER@CONTEXT, --store STORE or --all")
	case named > 1:
		return nil, usagef("retry takes one of USER@CONTEXT, --store STORE and --all")
	case byStore && store == "":
		return nil, usagef("--store needs the name of a mail store, as in mail.stores; --all is for all of them")
	case len(args) == 0:
		return &adminv1.RetryRequest{MailStore: store, All: all}, nil
	}
	userID, contextID, err := userAtContext(args[0])
	return &adminv1.RetryRequest{ContextId: contextID, UserId: userID}, err
}

func (a *app) retry(ctx context.Context, request *adminv1.RetryRequest) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.Retry, request)
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		err = writeJSON(a.stdout, answer)
	} else {
		fmt.Fprintln(a.stdout, didRetry(request, answer))
	}
	if silent := answer.GetSilentWorkers(); err == nil && len(silent) > 0 {
		return failf(exitServer, "no answer from %s, whose listeners may wait on", printable(strings.Join(silent, ", ")))
	}
	return err
}

// didRetry says what became of it.
func didRetry(request *adminv1.RetryRequest, answer *adminv1.RetryResponse) string {
	if request.GetUserId() != "" {
		who := printable(userText(request))
		switch {
		case answer.GetSuspended():
			return fmt.Sprintf("The listener of %s is suspended: its mail store refused the login. A new Subscribe with one that works resumes it.", who)
		case answer.GetListeners() == 0:
			return fmt.Sprintf("%s has no listener in back-off. 'pushusers explain %s' says why a user has none at all.", who, who)
		}
		return fmt.Sprintf("The listener of %s tries again.", who)
	}
	switch n := answer.GetListeners(); n {
	case 0:
		return "No listener was in back-off."
	case 1:
		return "1 listener tries again."
	default:
		return fmt.Sprintf("%s listeners try again.", count(n))
	}
}

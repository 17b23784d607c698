// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mailpush.internal/pkg/userid"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

const aboutExplain = `explain walks the way of a user's mail, check by check: the decision whether there is a
permanent listener, the worker that runs it, the listener at the mail store, and each
place that pushes go to. It names the first thing that stands in the way, with its code
and what to do about it.

  yes      it is not in the way
  no       there is no push until that is over
  note     it does not stand in the way for good: it says why a push is late, or why
           there was none for a mail
  unknown  it could not be found out, as where a worker does not answer

--subscription explains one place alone, as 'pushusers subscriptions' names it.`

const exampleExplain = `  pushusers explain 249@1
  pushusers explain anna@example.org@1
  pushusers explain --user anna --context b@c
  pushusers explain --subscription ` + exampleID + `

  What stands in the way, for a script:
    pushusers explain 249@1 --output json | jq -r .cause`

func (a *app) explainCommand() *cobra.Command {
	var of who
	var subscription string
	cmd := &cobra.Command{
		Use:     "explain USER@CONTEXT",
		Short:   "Say why a user gets no pushes, and what to do",
		Long:    aboutExplain,
		Example: exampleExplain,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := explainRequest(of, args, subscription)
			if err != nil {
				return err
			}
			return a.explain(cmd.Context(), request)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	of.register(cmd.Flags())
	cmd.Flags().StringVar(&subscription, "subscription", "", "the subscription's `id`, in place of its user")
	_ = cmd.RegisterFlagCompletionFunc("subscription", a.completeFirst(subscriptionIDs))
	return cmd
}

// explainRequest is who is meant, or which subscription.
func explainRequest(of who, args []string, subscription string) (*adminv1.ExplainRequest, error) {
	switch {
	case subscription != "" && (len(args) > 0 || of != (who{})):
		return nil, usagef("--subscription and the name of a user are mutually exclusive")
	case subscription != "":
		return &adminv1.ExplainRequest{SubscriptionId: subscription}, nil
	}
	if err := of.check("explain", args); err != nil {
		return nil, err
	}
	userID, contextID, err := of.names(args)
	return &adminv1.ExplainRequest{ContextId: contextID, UserId: userID}, err
}

func (a *app) explain(ctx context.Context, request *adminv1.ExplainRequest) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.Explain, request)
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return writeJSON(a.stdout, answer)
	}
	writeTable(a.stdout, []column{{"Check", false}, {"OK", false}, {"Detail", false}}, explainRows(answer.GetSteps()))
	who := userid.Join(cmp.Or(answer.GetUserId(), request.GetUserId()), cmp.Or(answer.GetContextId(), request.GetContextId()))
	if request.GetSubscriptionId() != "" && answer.GetUserId() == "" { // whose it is could not be read
		who = request.GetSubscriptionId()
	}
	fmt.Fprintf(a.stdout, "\n%s: %s\n", printable(who), printable(answer.GetVerdict()))
	if answer.GetCause() != "" {
		fmt.Fprintf(a.stdout, "cause: %s\n", printable(answer.GetCause()))
	}
	if answer.GetAdvice() != "" {
		fmt.Fprintf(a.stdout, "what to do: %s\n", printable(answer.GetAdvice()))
	}
	return nil
}

// explainRows are the lines of a table. The first of a subscription's names it.
func explainRows(steps []*adminv1.ExplainStep) (rows [][]string) {
	of := ""
	for _, step := range steps {
		detail := step.GetDetail()
		if id := step.GetSubscriptionId(); id != of {
			of = id
			detail = id + ": " + detail
		}
		rows = append(rows, []string{step.GetCheck(), outcomeText(step), detail})
	}
	return rows
}

// outcomeText is what came of a check; a server of an earlier release says only yes and no.
func outcomeText(step *adminv1.ExplainStep) string {
	switch step.GetOutcome() {
	case adminv1.ExplainOutcome_EXPLAIN_OUTCOME_NOTE:
		return "note"
	case adminv1.ExplainOutcome_EXPLAIN_OUTCOME_UNKNOWN:
		return "unknown"
	case adminv1.ExplainOutcome_EXPLAIN_OUTCOME_YES, adminv1.ExplainOutcome_EXPLAIN_OUTCOME_NO,
		adminv1.ExplainOutcome_EXPLAIN_OUTCOME_UNSPECIFIED:
	}
	if step.GetOk() {
		return "yes"
	}
	return "no"
}

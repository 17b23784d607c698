// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mailpush.internal/pkg/userid"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

func (a *app) explainCommand() *cobra.Command {
	var of who
	cmd := &cobra.Command{
		Use:     "explain USER@CONTEXT",
		Short:   "Say why a user has, or has no, permanent listener",
		Long:    "explain walks the decision whether a user gets a permanent listener, check by\ncheck, up to the first that says no.",
		Example: "  pushusers explain 249@1\n  pushusers explain anna@example.org@1\n  pushusers explain --user anna --context b@c",
		Args:    func(_ *cobra.Command, args []string) error { return of.check("explain", args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			userID, contextID, err := of.names(args)
			if err != nil {
				return err
			}
			return a.explain(cmd.Context(), userID, contextID)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	of.register(cmd.Flags())
	return cmd
}

func (a *app) explain(ctx context.Context, userID, contextID string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.Explain, &adminv1.ExplainRequest{ContextId: contextID, UserId: userID})
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return writeJSON(a.stdout, answer)
	}
	var rows [][]string
	for _, step := range answer.GetSteps() {
		verdict := "no"
		if step.GetOk() {
			verdict = "yes"
		}
		rows = append(rows, []string{step.GetCheck(), verdict, step.GetDetail()})
	}
	writeTable(a.stdout, []column{{"Check", false}, {"OK", false}, {"Detail", false}}, rows)
	fmt.Fprintf(a.stdout, "\n%s: %s\n", userid.Join(userID, contextID), printable(answer.GetVerdict()))
	return nil
}

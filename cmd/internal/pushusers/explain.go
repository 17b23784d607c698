// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain USER@CONTEXT",
		Short:   "Say why a user has, or has no, permanent listener",
		Long:    "explain walks the decision whether a user gets a permanent listener, check by\ncheck, up to the first that says no.",
		Example: "  pushusers explain 249@1",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("explain needs one USER@CONTEXT, for example 249@1")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.explain(cmd.Context(), args[0]) },
	}
}

func (a *app) explain(ctx context.Context, who string) error {
	userID, contextID, err := userAtContext(who)
	if err != nil {
		return err
	}
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
	fmt.Fprintf(a.stdout, "\n%s: %s\n", who, printable(answer.GetVerdict()))
	return nil
}

// userAtContext takes a user's name apart.
func userAtContext(who string) (userID, contextID string, err error) {
	userID, contextID, ok := strings.Cut(who, "@")
	if !ok || userID == "" || contextID == "" {
		return "", "", usagef("%q: want USER@CONTEXT, for example 249@1", who)
	}
	return userID, contextID, nil
}

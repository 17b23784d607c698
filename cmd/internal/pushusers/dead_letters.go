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

const aboutDeadLetters = `dead-letters lists mails that an endpoint would not take, as being too large or
malformed in its eyes, and that were stepped over after some tries so that the mails
behind them could be pushed. The mails themselves are untouched in their folders: once
the endpoint takes them, replay pushes them again. The newest 100 of each subscription
are kept, and are listed the newest first.`

func (a *app) deadLettersCommand() *cobra.Command {
	var of whose
	cmd := &cobra.Command{
		Use:   "dead-letters [ID]",
		Short: "List the mails that endpoints would not take",
		Long:  aboutDeadLetters,
		Example: "  pushusers subscriptions dead-letters\n" +
			"  pushusers subscriptions dead-letters " + exampleID + " --output wide",
		Args:              atMostOne,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listDeadLetters(cmd.Context(), strings.Join(args, ""), of)
		},
	}
	of.register(cmd.Flags())
	return cmd
}

func (a *app) listDeadLetters(ctx context.Context, id string, of whose) error {
	userID, contextID, err := of.resolve()
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	list, err := collect(c, func(token string) ([]*adminv1.DeadLetter, string, error) {
		page, err := call(ctx, c, c.admin.ListDeadLetters, &adminv1.ListDeadLettersRequest{PageToken: token, SubscriptionId: id})
		return page.GetDeadLetters(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	list = ofUser(list, userID, contextID)
	if a.output == outputJSON {
		return writeJSON(a.stdout, &adminv1.ListDeadLettersResponse{DeadLetters: list})
	}
	a.writeDeadLetters(list)
	return nil
}

func (a *app) writeDeadLetters(list []*adminv1.DeadLetter) {
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "No dead letters.")
		return
	}
	columns := []column{
		{"At", false}, {"Subscription", false}, {"User", false}, {"Folder", false}, {"UIDs", true}, {"Reason", false},
		{"UIDVALIDITY", true},
	}
	if a.output != outputWide {
		columns = columns[:6]
	}
	var rows [][]string
	for _, d := range list {
		uids := count(d.GetFirstUid())
		if d.GetLastUid() != d.GetFirstUid() {
			uids += "-" + count(d.GetLastUid())
		}
		row := []string{
			timeText(d.GetAt()), d.GetSubscriptionId(), userText(d), d.GetFolder(), uids,
			orDash(d.GetReason()), count(d.GetUidValidity()),
		}
		rows = append(rows, row[:len(columns)])
	}
	writeTable(a.stdout, columns, rows)
}

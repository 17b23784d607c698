// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/userid"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

const aboutHistory = `history lists what has happened to a user, the newest first: subscriptions made, ended,
disabled and restored, endpoints that have consented, logins that were refused or
replaced, folders that were renumbered (mailbox:reset), mails that were stepped over, and
who has done it. The last 200 entries of the last 90 days are kept, also after the user's
last registration has gone. Of what repeats itself, such as a login that an application
brings at each start, the last of a day is kept.`

func (a *app) historyCommand() *cobra.Command {
	var of who
	var limit uint32
	var since moment
	cmd := &cobra.Command{
		Use:     "history USER@CONTEXT",
		Short:   "List what has happened to a user",
		Long:    aboutHistory,
		Example: "  pushusers history 249@1\n  pushusers history 249@1 --since 24h --limit 10\n  pushusers history 249@1 --since 2026-12-01 --output json",
		Args:    func(_ *cobra.Command, args []string) error { return of.check("history", args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			userID, contextID, err := of.names(args)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("limit") && limit == 0 {
				return usagef("--limit: want 1 at least")
			}
			return a.listHistory(cmd.Context(), userID, contextID, since.before(time.Now()), int(limit))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().Uint32Var(&limit, "limit", 0, "how `many` entries at most, the newest (default all)")
	cmd.Flags().Var(&since, "since", "only what has happened since: a `time`, like 24h or 7d before now, 2026-12-01, or RFC 3339")
	of.register(cmd.Flags())
	return cmd
}

// historyPage is how many entries are asked for at once; more than are kept of a user.
const historyPage = 1000

func (a *app) listHistory(ctx context.Context, userID, contextID string, since time.Time, limit int) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	question := &adminv1.ListHistoryRequest{ContextId: contextID, UserId: userID, PageSize: historyPage}
	if !since.IsZero() {
		question.Since = timestamppb.New(since)
	}
	got := 0
	list, err := collect(c, func(token string) ([]*adminv1.HistoryEntry, string, error) {
		question.PageToken = token
		if limit > 0 {
			question.PageSize = int32(min(limit-got, historyPage))
		}
		page, err := call(ctx, c, c.admin.ListHistory, question)
		if got += len(page.GetEntries()); limit > 0 && got >= limit {
			return page.GetEntries(), "", err
		}
		return page.GetEntries(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	if a.output == outputJSON {
		return writeJSON(a.stdout, &adminv1.ListHistoryResponse{Entries: list})
	}
	a.writeHistory(list, userid.Join(userID, contextID), since)
	return nil
}

func (a *app) writeHistory(list []*adminv1.HistoryEntry, user string, since time.Time) {
	switch {
	case len(list) > 0:
	case since.IsZero():
		fmt.Fprintf(a.stdout, "Nothing has happened to %s in the last 90 days.\n", printable(user))
		return
	default:
		fmt.Fprintf(a.stdout, "Nothing has happened to %s since %s.\n", printable(user), since.UTC().Format(time.RFC3339))
		return
	}
	columns := []column{{"At", false}, {"What", false}, {"By", false}, {"Subscription", false}, {"Client", false}, {"Why", false}}
	if a.output != outputWide {
		columns = append(columns[:4:4], columns[5])
	}
	var rows [][]string
	for _, e := range list {
		row := []string{timeText(e.GetAt()), happenedText(e.GetKind()), actorText(e.GetActor()), orDash(e.GetSubscriptionId())}
		if a.output == outputWide {
			row = append(row, orDash(e.GetClientId()))
		}
		rows = append(rows, append(row, orDash(e.GetReason())))
	}
	writeTable(a.stdout, columns, rows)
}

func happenedText(kind adminv1.HistoryKind) string {
	if kind == adminv1.HistoryKind_HISTORY_KIND_UNSPECIFIED {
		return "unknown"
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(kind.String(), "HISTORY_KIND_")), "_", " ")
}

// actorText names who has done something.
func actorText(actor *adminv1.Actor) string {
	switch actor.GetKind() {
	case adminv1.ActorKind_ACTOR_KIND_ADMINISTRATOR:
		return "administrator " + actor.GetName()
	case adminv1.ActorKind_ACTOR_KIND_APPLICATION:
		return "application " + actor.GetName()
	case adminv1.ActorKind_ACTOR_KIND_SYSTEM:
		return "mailpush"
	default:
		return "unknown"
	}
}

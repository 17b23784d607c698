// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// listPushUsers prints the listeners of the cluster, of one context or of one user.
func (a *app) listPushUsers(ctx context.Context, of whose) error {
	userID, contextID, err := of.resolve()
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	users, err := collect(c, func(token string) ([]*adminv1.PushUser, string, error) {
		page, err := call(ctx, c, c.admin.ListPushUsers, &adminv1.ListPushUsersRequest{PageToken: token, ContextId: contextID})
		return page.GetPushUsers(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	users = ofUser(users, userID, contextID)
	slices.SortFunc(users, func(x, y *adminv1.PushUser) int {
		return cmp.Or(naturalCompare(x.GetContextId(), y.GetContextId()), naturalCompare(x.GetUserId(), y.GetUserId()))
	})
	switch a.output {
	case outputJSON:
		return writeJSON(a.stdout, &adminv1.ListPushUsersResponse{PushUsers: users})
	case outputWide:
		a.writeWide(users)
	default:
		a.writeRunning(users)
	}
	return nil
}

// writeRunning prints the table of the original: only what is running.
func (a *app) writeRunning(users []*adminv1.PushUser) {
	var rows [][]string
	suspended, unknown := 0, 0
	for _, user := range users {
		switch {
		case isRunning(user.GetState()):
			rows = append(rows, []string{user.GetContextId(), user.GetUserId(), strconv.FormatBool(user.GetPermanent())})
		case user.GetState() == mailv1.ListenerState_LISTENER_STATE_SUSPENDED:
			suspended++
		default:
			unknown++
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.stdout, "No running push users.")
	} else {
		writeTable(a.stdout, []column{{"Context", true}, {"User", false}, {"Permanent", false}}, rows)
	}
	switch suspended {
	case 0:
	case 1:
		fmt.Fprintln(a.stderr, "1 listener is suspended; --output wide shows why")
	default:
		fmt.Fprintf(a.stderr, "%d listeners are suspended; --output wide shows why\n", suspended)
	}
	switch unknown {
	case 0:
	case 1:
		fmt.Fprintln(a.stderr, "1 listener is unknown: a worker did not answer; --output wide shows which")
	default:
		fmt.Fprintf(a.stderr, "%d listeners are unknown: a worker did not answer; --output wide shows which\n", unknown)
	}
}

// writeWide prints every push user with what its listener is doing.
func (a *app) writeWide(users []*adminv1.PushUser) {
	if len(users) == 0 {
		fmt.Fprintln(a.stdout, "No running push users.")
		return
	}
	columns := []column{
		{"Context", true}, {"User", false}, {"Permanent", false}, {"Backend", false}, {"State", false},
		{"Worker", false}, {"Since", false}, {"Last event", false},
	}
	told := slices.ContainsFunc(users, isTold)
	if told {
		columns = append(columns, column{"Last hint", false}, column{"Last proof", false}, column{"Registration", false})
	}
	columns = append(columns, column{"Last error", false})
	var rows [][]string
	for _, user := range users {
		row := []string{
			user.GetContextId(), user.GetUserId(), strconv.FormatBool(user.GetPermanent()),
			orDash(user.GetBackend()), stateText(user.GetState()), orDash(user.GetWorker()),
			timeText(user.GetSince()), timeText(user.GetLastEvent()),
		}
		if told {
			row = append(row, timeText(user.GetLastHint()), timeText(user.GetLastProof()), registrationText(user.GetRegistration()))
		}
		rows = append(rows, append(row, orDash(user.GetLastError())))
	}
	writeTable(a.stdout, columns, rows)
}

// isTold tells whether a mail store has to be told where to tell of a user's new mail.
func isTold(user *adminv1.PushUser) bool {
	return user.GetRegistration() != mailv1.Registration_REGISTRATION_UNSPECIFIED ||
		user.GetState() == mailv1.ListenerState_LISTENER_STATE_WAITING
}

// registrationText is whether the mail store knows where to tell of new mail.
func registrationText(r mailv1.Registration) string {
	if r == mailv1.Registration_REGISTRATION_UNSPECIFIED {
		return "-"
	}
	return strings.ToLower(strings.TrimPrefix(r.String(), "REGISTRATION_"))
}

// isRunning tells whether a listener exists and is trying.
func isRunning(state mailv1.ListenerState) bool {
	switch state {
	case mailv1.ListenerState_LISTENER_STATE_CONNECTING, mailv1.ListenerState_LISTENER_STATE_IDLE,
		mailv1.ListenerState_LISTENER_STATE_POLLING, mailv1.ListenerState_LISTENER_STATE_BACKOFF,
		mailv1.ListenerState_LISTENER_STATE_WAITING:
		return true
	default:
		return false
	}
}

func stateText(state mailv1.ListenerState) string {
	if state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED {
		return "unknown"
	}
	return strings.ToLower(strings.TrimPrefix(state.String(), "LISTENER_STATE_"))
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// listRegistrations prints which client of which user is registered.
func (a *app) listRegistrations(ctx context.Context, of whose) error {
	userID, contextID, err := of.resolve()
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	registrations, err := collect(c, func(token string) ([]*adminv1.Registration, string, error) {
		page, err := call(ctx, c, c.admin.ListClientRegistrations,
			&adminv1.ListClientRegistrationsRequest{PageToken: token, ContextId: contextID})
		return page.GetRegistrations(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	registrations = ofUser(registrations, userID, contextID)
	slices.SortFunc(registrations, func(x, y *adminv1.Registration) int {
		return cmp.Or(naturalCompare(x.GetContextId(), y.GetContextId()),
			naturalCompare(x.GetUserId(), y.GetUserId()), naturalCompare(x.GetClientId(), y.GetClientId()))
	})
	if a.output == outputJSON {
		return writeJSON(a.stdout, &adminv1.ListClientRegistrationsResponse{Registrations: registrations})
	}
	a.writeRegistrations(registrations)
	return nil
}

func (a *app) writeRegistrations(registrations []*adminv1.Registration) {
	if len(registrations) == 0 {
		fmt.Fprintln(a.stdout, "No registered push users.")
		return
	}
	columns := []column{{"Context", true}, {"User", false}, {"Client", false}}
	if a.output == outputWide {
		columns = append(columns, column{"Created", false})
	}
	var rows [][]string
	for _, r := range registrations {
		row := []string{r.GetContextId(), r.GetUserId(), r.GetClientId(), timeText(r.GetCreatedAt())}
		rows = append(rows, row[:len(columns)])
	}
	writeTable(a.stdout, columns, rows)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"errors"
	"fmt"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// unregister removes a client's registration. Both outcomes are told in the words of
// the original, on standard output; the exit code tells them apart.
func (a *app) unregister(ctx context.Context, contextID, userID, clientID string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.UnregisterClient,
		&adminv1.UnregisterClientRequest{ContextId: contextID, UserId: userID, ClientId: clientID})
	if failed, ok := errors.AsType[*failure](err); ok && failed.code == exitNotFound {
		return a.noRegistration(contextID, userID, clientID)
	}
	if err != nil {
		return err
	}
	return a.done(answer, "Push registration successfully deleted for user %s in context %s for client '%s'", userID, contextID, clientID)
}

// noRegistration says so where the original does; there is no JSON that says it.
func (a *app) noRegistration(contextID, userID, clientID string) error {
	missing := failf(exitNotFound, "No such push registration for user %s in context %s for client '%s'", userID, contextID, clientID)
	if a.output == outputJSON {
		return missing
	}
	fmt.Fprintln(a.stdout, printable(missing.message))
	return &failure{code: exitNotFound}
}

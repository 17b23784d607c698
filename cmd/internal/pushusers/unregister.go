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
	_, err = call(ctx, c, c.admin.UnregisterClient,
		&adminv1.UnregisterClientRequest{ContextId: contextID, UserId: userID, ClientId: clientID})
	if failed, ok := errors.AsType[*failure](err); ok && failed.code == exitNotFound {
		fmt.Fprintf(a.stdout, "No such push registration for user %s in context %s for client '%s'\n", userID, contextID, clientID)
		return &failure{code: exitNotFound}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Push registration successfully deleted for user %s in context %s for client '%s'\n", userID, contextID, clientID)
	return nil
}

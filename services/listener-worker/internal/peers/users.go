// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Names looks users up by their logins at the registry.
type Names struct {
	// Registry is asked.
	Registry *Registry
	// LocalParts names the backends whose mail stores may leave out what follows the @ of
	// a login.
	LocalParts map[string]bool
}

var _ hints.Names = Names{}

// FindUsers implements [hints.Names].
func (n Names) FindUsers(ctx context.Context, backend string, logins []string) ([][]mailbox.User, error) {
	response, err := call(ctx, n.Registry.service.FindUsers, &registryv1.FindUsersRequest{
		Logins: logins, LocalParts: n.LocalParts[backend],
	})
	if err != nil {
		return nil, err
	}
	out := make([][]mailbox.User, len(response.GetLogins()))
	for i, login := range response.GetLogins() {
		for _, user := range login.GetUsers() {
			out[i] = append(out[i], mailbox.User{Context: user.GetContextId(), ID: user.GetUserId()})
		}
	}
	return out, nil
}

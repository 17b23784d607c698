// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// Retry implements AdminService: the mail store is demo, and the users are those that are
// listed.
func (f *fakeAdmin) Retry(
	_ context.Context, r *connect.Request[adminv1.RetryRequest],
) (*connect.Response[adminv1.RetryResponse], error) {
	if store := r.Msg.GetMailStore(); store != "" && store != "demo" {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no mail store is called %q; there are: demo", store))
	}
	known := r.Msg.GetUserId() == ""
	for _, u := range f.users.GetPushUsers() {
		known = known || u.GetUserId() == r.Msg.GetUserId() && u.GetContextId() == r.Msg.GetContextId()
	}
	if !known {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("nothing is registered for user %q", r.Msg.GetUserId()))
	}
	return connect.NewResponse(&f.retry), nil
}

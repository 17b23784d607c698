// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"io"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// ending is what the last push of a subscription carries.
type ending struct {
	ContextID    string `json:"contextId"`
	UserID       string `json:"userId"`
	Subscription string `json:"subscriptionId"`
	Reason       string `json:"reason"`
}

// end says that a subscription ends, so that a receiver need not wait for what will not
// come.
func (c *Client) end(ctx context.Context, push transport.Push) transport.Result {
	last := ending{push.User.Context, push.User.ID, push.Subscription, push.Reason}
	return c.notify(ctx, push, typeEnding, last, io.Discard)
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"strings"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// challenge is what a ping carries.
type challenge struct {
	Challenge string `json:"challenge"`
}

// addressee is whom a test push is for.
type addressee struct {
	ContextID string `json:"contextId"`
	UserID    string `json:"userId"`
}

// ask asks an endpoint whether it wants pushes: one signed request that says nothing
// about any mailbox. OK means that it does, by any 2xx or, with Config.RequireEcho,
// by a 2xx whose body holds the challenge, so that a server that says 200 to
// everything is not taken for a receiver.
func (c *Client) ask(ctx context.Context, push transport.Push) transport.Result {
	word := rand.Text()
	var answer bytes.Buffer
	result := c.notify(ctx, push, typePing, challenge{word}, &answer)
	if result.Class == transport.OK && c.cfg.RequireEcho && !bytes.Contains(answer.Bytes(), []byte(word)) {
		return transport.Result{Class: transport.Misconfigured, Detail: result.Detail + " without the challenge of the ping"}
	}
	return result
}

// try sends a signed push that announces no mail, for an operator who wants to see one
// arrive.
func (c *Client) try(ctx context.Context, push transport.Push) transport.Result {
	return c.notify(ctx, push, typeTest, addressee{push.User.Context, push.User.ID}, io.Discard)
}

// notify posts what is not about a batch, each under an id of its own.
func (c *Client) notify(ctx context.Context, push transport.Push, kind string, data any, answer io.Writer) transport.Result {
	content, err := marshal(body{Type: kind, Timestamp: time.Now().UTC(), Data: data})
	if err != nil {
		return transport.Result{Class: transport.Misconfigured, Detail: err.Error()}
	}
	return c.post(ctx, push, "msg_"+strings.ToLower(rand.Text()), content, answer)
}

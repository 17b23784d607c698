// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"

	"mailpush.internal/pkg/pushtest"
)

// receiver is the demo's webhook endpoint: it accepts everything and hands it on, the
// ping apart from the pushes. It runs for as long as the demo does, and keeps nothing.
type receiver struct {
	*pushtest.Receiver

	url    string
	pings  chan *pushtest.Push
	pushes chan *pushtest.Push
}

func newReceiver(address string) (*receiver, error) {
	r := &receiver{pings: make(chan *pushtest.Push, 1), pushes: make(chan *pushtest.Push, 1)}
	var err error
	if r.Receiver, err = pushtest.New(pushtest.Options{Address: address, Answer: r.handOn, Forget: true}); err != nil {
		return nil, err
	}
	r.url = r.URL() + "/push"
	return r, nil
}

func (r *receiver) handOn(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	if push.Type == pushtest.TypePing {
		select {
		case r.pings <- push:
		default: // who looks at pings looks at the first
		}
		pushtest.Accept(w, request, push)
		return
	}
	select {
	case r.pushes <- push:
		pushtest.Accept(w, request, push)
	case <-request.Context().Done():
	}
}

// next waits for the next of the pings or pushes.
func next(ctx context.Context, kind <-chan *pushtest.Push) (*pushtest.Push, error) {
	select {
	case got := <-kind:
		return got, nil
	case <-ctx.Done():
		return nil, errors.New("no push came in time")
	}
}

// newWebhookSecret makes a signing secret as Standard Webhooks wants it.
func newWebhookSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never returns an error
	return "whsec_" + base64.StdEncoding.EncodeToString(raw)
}

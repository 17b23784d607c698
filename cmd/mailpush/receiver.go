// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	receiverTimeout = 10 * time.Second
	maxPushBytes    = 1 << 20
)

// push is one webhook request as the demo's receiver got it.
type push struct {
	at     time.Time
	header http.Header
	body   []byte
}

// receiver is the demo's webhook endpoint: it accepts everything and hands it on, the
// ping apart from the pushes.
type receiver struct {
	url    string
	server *http.Server
	pings  chan push
	pushes chan push
}

func newReceiver(ctx context.Context, address string) (*receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("starting the webhook receiver: %w", err)
	}
	r := &receiver{url: "http://" + listener.Addr().String() + "/push", pings: make(chan push, 1), pushes: make(chan push, 1)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: receiverTimeout}
	go func() { _ = r.server.Serve(listener) }() // ends with close
	return r, nil
}

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxPushBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var content struct {
		Type string `json:"type"`
		Data struct {
			Challenge string `json:"challenge"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got := push{at: at, header: request.Header, body: body}
	if content.Type == "ping" {
		select {
		case r.pings <- got:
		default: // who looks at pings looks at the first
		}
		// Any 2xx would do by default.
		_, _ = io.WriteString(w, content.Data.Challenge)
		return
	}
	select {
	case r.pushes <- got:
		w.WriteHeader(http.StatusNoContent)
	case <-request.Context().Done():
	}
}

// next waits for the next of the pings or pushes.
func next(ctx context.Context, kind <-chan push) (push, error) {
	select {
	case got := <-kind:
		return got, nil
	case <-ctx.Done():
		return push{}, errors.New("no push came in time")
	}
}

// newWebhookSecret makes a signing secret as Standard Webhooks wants it.
func newWebhookSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never returns an error
	return "whsec_" + base64.StdEncoding.EncodeToString(raw)
}

func (r *receiver) close() { _ = r.server.Close() }

// verify checks a push's signature with the public Standard Webhooks library.
func verify(got push, secret string) error {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("reading the signing secret: %w", err)
	}
	if err := webhook.Verify(got.body, got.header); err != nil {
		return fmt.Errorf("verifying the push's signature: %w", err)
	}
	return nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// newWebhooks is the transport of a worker, allowed to reach loopback.
func newWebhooks() *webhook.Client {
	return webhook.New(webhook.Config{
		Instance: "bench", AllowHTTP: true, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
}

// watched tells when requests were written and when they were accepted.
type watched struct {
	*webhook.Client
	written  func(push transport.Push, after time.Duration) // nil: not asked for
	accepted func(push transport.Push, after time.Duration)
}

// Send implements [transport.Transport].
func (t *watched) Send(ctx context.Context, push transport.Push) transport.Result {
	if t.written != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(info httptrace.WroteRequestInfo) {
				if info.Err == nil {
					t.written(push, time.Since(push.Batch.Noticed))
				}
			},
		})
	}
	result := t.Client.Send(ctx, push)
	if result.Class == transport.OK {
		t.accepted(push, time.Since(push.Batch.Noticed))
	}
	return result
}

// times gathers durations.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// at is the duration below which the given share of all lies.
func (t *times) at(share float64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	slices.Sort(t.all)
	return t.all[min(int(share*float64(len(t.all))), len(t.all)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	median     = 0.5
	percentile = 0.99
	// grace is how long the last deliveries of a measurement may take.
	grace = 2 * time.Minute
)

// measureLatency measures from the moment a new end of a folder is noticed to the
// moment the request about it is written. Each mail is a push of its own: the other
// modes wait on purpose.
func measureLatency(ctx context.Context, w io.Writer, size dimensions, endpoints *receiver) ([]string, error) {
	var written times
	subscriptions := make([]subscription, size.mailboxes)
	for n := range subscriptions {
		subscriptions[n] = subscription{endpoints.url(n, acceptPath, "latency"), mailv1.Mode_MODE_EACH}
	}
	client := newWebhooks()
	defer client.Close()
	expected := int(size.span.Seconds() * float64(size.rate))
	all := newTally(expected)
	world := startWorld(ctx, &watched{
		Client:   client,
		written:  func(_ transport.Push, after time.Duration) { written.add(after) },
		accepted: func(push transport.Push, _ time.Duration) { all.count(push.Batch.Count) },
	}, subscriptions)
	world.drive(ctx, size.rate, size.span)
	err := all.wait(ctx)
	if stopped := world.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return nil, err
	}
	p50, p99 := written.at(median), written.at(percentile)
	fmt.Fprintf(w, "added latency, noticed to request written, %d events/s over %d mailboxes and %d origins for %v, mode each:\n"+
		"  p50 %.2f ms, p99 %.2f ms, most %.2f ms (goal: p50 under 5, p99 under 25)\n",
		size.rate, size.mailboxes, origins, size.span, milliseconds(p50), milliseconds(p99), milliseconds(written.at(1)))
	return []string{
		fmt.Sprintf("added_latency_ms_p50=%.2f", milliseconds(p50)),
		fmt.Sprintf("added_latency_ms_p99=%.2f", milliseconds(p99)),
	}, nil
}

// wait returns when everything was counted.
func (t *tally) wait(ctx context.Context) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		t.mu.Lock()
		defer t.mu.Unlock()
		return fmt.Errorf("%d mails were not delivered in time", t.left)
	}
}

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
	busyOrigins   = 8
	busyMailboxes = 128
	warmUp        = 10 // one in so many deliveries comes before the measurement
)

// measureThroughput delivers a backlog as fast as it goes, one mail a request, and
// divides by the processor time of this process, which is the worker's and the making
// up of mails.
func measureThroughput(ctx context.Context, w io.Writer, size dimensions, endpoints *receiver) ([]string, error) {
	subscriptions := make([]subscription, busyMailboxes)
	for n := range subscriptions {
		subscriptions[n] = subscription{endpoints.url(n%busyOrigins, acceptPath, "throughput"), mailv1.Mode_MODE_EACH}
	}
	client := newWebhooks()
	defer client.Close()
	var all *tally
	world := startWorld(ctx, &watched{
		Client:   client,
		accepted: func(push transport.Push, _ time.Duration) { all.count(push.Batch.Count) },
	}, subscriptions)
	deliver := func(deliveries int) error {
		each := deliveries / busyMailboxes
		all = newTally(each * busyMailboxes)
		for n := range subscriptions {
			world.arrive(n, uint32(each))
		}
		return all.wait(ctx)
	}
	err := deliver(size.deliveries / warmUp)
	before, errBefore := endpoints.stats(ctx)
	began, used := time.Now(), processorTime()
	if err == nil && errBefore == nil {
		err = deliver(size.deliveries)
	}
	took, used := time.Since(began), processorTime()-used
	after, errAfter := endpoints.stats(ctx)
	for _, other := range []error{errBefore, errAfter, world.stop()} {
		if err == nil {
			err = other
		}
	}
	if err != nil {
		return nil, err
	}
	count := after.count("throughput") - before.count("throughput")
	perCore := float64(count) / used.Seconds()
	fmt.Fprintf(w, "throughput, %d deliveries from %d mailboxes to %d origins, mode each:\n"+
		"  %.0f/s, processor time of the worker %.2f s, of the endpoints %.2f s: %.0f deliveries per core-second of the worker (goal: 5,000)\n",
		count, busyMailboxes, busyOrigins, float64(count)/took.Seconds(), used.Seconds(), (after.Processor - before.Processor).Seconds(), perCore)
	return []string{fmt.Sprintf("deliveries_per_s_per_core=%.0f", perCore)}, nil
}

// count is how many requests have been accepted under a name.
func (s stats) count(name string) int { return s.Requests[acceptPath+name] }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
)

// measureHang measures how long mails take to be accepted by the other endpoints while
// one in a hundred hangs, and while none does, in turn: what else the machine does
// then strikes both alike.
func measureHang(ctx context.Context, w io.Writer, size dimensions, endpoints *receiver) ([]string, error) {
	var well, hung []time.Duration
	for range size.rounds {
		for _, hangs := range []bool{false, true} {
			p99, err := hangRound(ctx, size, endpoints, hangs)
			if err != nil {
				return nil, err
			}
			if hangs {
				hung = append(hung, p99)
			} else {
				well = append(well, p99)
			}
		}
	}
	ratio := float64(middle(hung)) / float64(middle(well))
	fmt.Fprintf(w, "%d endpoints of as many origins, %d events/s, %d rounds of %v each, noticed to accepted, p99 of those that answer:\n"+
		"  all answer: median %.2f ms of %s\n  one hangs:  median %.2f ms of %s: ratio %.3f (goal: under 1.1)\n",
		origins, size.rate, size.rounds, size.round,
		milliseconds(middle(well)), list(well), milliseconds(middle(hung)), list(hung), ratio)
	return []string{fmt.Sprintf("hung_endpoint_p99_ratio=%.3f", ratio)}, nil
}

// hangRound is the 99th percentile of one round.
func hangRound(ctx context.Context, size dimensions, endpoints *receiver, oneHangs bool) (time.Duration, error) {
	subscriptions := make([]subscription, size.mailboxes)
	for n := range subscriptions {
		path := acceptPath
		if oneHangs && n%origins == 0 {
			path = hangPath
		}
		subscriptions[n] = subscription{endpoints.url(n, path, "hang"), mailv1.Mode_MODE_EACH}
	}
	client := newWebhooks()
	defer client.Close()
	var accepted times
	opened := time.Now().Add(size.round / 5) // by then the connections are made
	expected := int(size.round.Seconds() * float64(size.rate))
	others := expected
	for n := range expected { // the first origin's do not count, whether it hangs or not
		if n%size.mailboxes%origins == 0 {
			others--
		}
	}
	all := newTally(others)
	first := endpoints.addresses[0]
	world := startWorld(ctx, &watched{
		Client: client,
		accepted: func(push deliver.Push, after time.Duration) {
			if !strings.Contains(push.URL, first+"/") {
				if push.Batch.Noticed.After(opened) {
					accepted.add(after)
				}
				all.count(push.Batch.Count)
			}
		},
	}, subscriptions)
	world.drive(ctx, size.rate, size.round)
	err := all.wait(ctx)
	if stopped := world.stop(); err == nil {
		err = stopped
	}
	return accepted.at(percentile), err
}

func middle(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func list(all []time.Duration) string {
	var out strings.Builder
	for _, d := range all {
		fmt.Fprintf(&out, " %.1f", milliseconds(d))
	}
	return strings.TrimSpace(out.String())
}

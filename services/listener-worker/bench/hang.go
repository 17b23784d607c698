// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// warmUpShare of a round is not measured: connections are made then.
const warmUpShare = 5

// measureHang measures how long mails take to be accepted by the other endpoints while
// one in a hundred hangs, and while none does. Both run side by side, each with half of
// the events: what else the machine does then strikes both alike.
func measureHang(ctx context.Context, w io.Writer, size dimensions, endpoints *receiver) ([]string, error) {
	var well, hung []time.Duration
	var ratios []float64
	for n := range size.rounds {
		paths := []string{acceptPath, hangPath}
		if n%2 == 1 {
			slices.Reverse(paths) // neither always begins
		}
		p99, err := hangRound(ctx, size, endpoints, paths)
		if err != nil {
			return nil, err
		}
		well, hung = append(well, p99[acceptPath]), append(hung, p99[hangPath])
		ratios = append(ratios, float64(p99[hangPath])/float64(p99[acceptPath]))
	}
	slices.Sort(ratios)
	ratio := ratios[len(ratios)/2]
	fmt.Fprintf(w, "100 endpoints of as many origins twice, side by side, %d events/s in all, %d rounds of %v, noticed to accepted, p99 of 99 of them in ms:\n"+
		"  the other one answers: %s\n  the other one hangs:   %s\n  median of the rounds' ratios %.3f (goal: under 1.1)\n",
		size.rate, size.rounds, size.round, list(well), list(hung), ratio)
	return []string{fmt.Sprintf("hung_endpoint_p99_ratio=%.3f", ratio)}, nil
}

// hangRound measures with the first endpoint at each of the paths, by path.
func hangRound(ctx context.Context, size dimensions, endpoints *receiver, paths []string) (map[string]time.Duration, error) {
	p99, errs := make([]time.Duration, len(paths)), make([]error, len(paths))
	var group sync.WaitGroup
	for n, path := range paths {
		group.Go(func() { p99[n], errs[n] = measureOthers(ctx, size, endpoints, path) })
	}
	group.Wait()
	byPath := make(map[string]time.Duration)
	for n, path := range paths {
		byPath[path] = p99[n]
	}
	return byPath, errors.Join(errs...)
}

// measureOthers is the 99th percentile of the endpoints but the first, which is at the
// given path.
func measureOthers(ctx context.Context, size dimensions, endpoints *receiver, path string) (time.Duration, error) {
	subscriptions := make([]subscription, size.mailboxes)
	for n := range subscriptions {
		at := acceptPath
		if n%origins == 0 {
			at = path
		}
		subscriptions[n] = subscription{endpoints.url(n, at, "hang"), mailv1.Mode_MODE_EACH}
	}
	client := newWebhooks()
	defer client.Close()
	rate := size.rate / 2
	events := int(size.round.Seconds() * float64(rate))
	others := events
	for n := range events {
		if n%size.mailboxes%origins == 0 {
			others--
		}
	}
	var accepted times
	all := newTally(others)
	opened := time.Now().Add(size.round / warmUpShare)
	first := endpoints.url(0, "/", "")
	world := startWorld(ctx, &watched{
		Client: client,
		accepted: func(push transport.Push, after time.Duration) {
			if strings.HasPrefix(push.Target.Address, first) {
				return
			}
			if push.Batch.Noticed.After(opened) {
				accepted.add(after)
			}
			all.count(push.Batch.Count)
		},
	}, subscriptions)
	world.drive(ctx, rate, size.round)
	err := all.wait(ctx)
	if stopped := world.stop(); err == nil {
		err = stopped
	}
	return accepted.at(percentile), err
}

func list(all []time.Duration) string {
	var out strings.Builder
	for _, d := range all {
		fmt.Fprintf(&out, " %.1f", milliseconds(d))
	}
	return strings.TrimSpace(out.String())
}

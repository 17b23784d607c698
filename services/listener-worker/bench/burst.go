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
	burstMails = 500
	burstSpan  = 10 * time.Second
)

// measureBurst counts the requests for 500 mails in 10 s, in real time.
func measureBurst(ctx context.Context, w io.Writer, _ dimensions, endpoints *receiver) ([]string, error) {
	client := newWebhooks()
	defer client.Close()
	all := newTally(2 * burstMails)
	world := startWorld(ctx, &watched{
		Client:   client,
		accepted: func(push transport.Push, _ time.Duration) { all.count(push.Batch.Count) },
	}, []subscription{
		{endpoints.url(0, acceptPath, "latest"), mailv1.Mode_MODE_LATEST},
		{endpoints.url(1, acceptPath, "batch"), mailv1.Mode_MODE_BATCH},
	})
	world.drive(ctx, 2*burstMails/int(burstSpan.Seconds()), burstSpan)
	err := all.wait(ctx)
	counts, errCounts := endpoints.stats(ctx)
	for _, other := range []error{errCounts, world.stop()} {
		if err == nil {
			err = other
		}
	}
	if err != nil {
		return nil, err
	}
	latest, batch := counts.count("latest"), counts.count("batch")
	fmt.Fprintf(w, "%d mails in %v for one user:\n  %d pushes in mode latest (goal: at most 6), %d requests in mode batch (goal: at most 10)\n",
		burstMails, burstSpan, latest, batch)
	return []string{
		fmt.Sprintf("pushes_for_500_latest=%d", latest),
		fmt.Sprintf("requests_for_500_batch=%d", batch),
	}, nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Wants sends what the leader wants this worker to run: the current value first, if
// there is one, then each change. A slow reader gets the newest and misses those in
// between. The channel is closed when ctx ends.
func (m *Member) Wants(ctx context.Context) <-chan *clusterv1.Want {
	out := make(chan *clusterv1.Want, 1)
	key := m.client.keys.want(m.ID())
	watched := &feed{
		client: m.client,
		key:    key,
		put: func(_ string, value []byte) {
			want, err := decodeWant(key, value)
			if err != nil {
				// What runs keeps running: a broken plan is no order to stop.
				m.client.log.ErrorContext(ctx, "plan for this worker was not understood", "error", err)
				return
			}
			replace(out, want)
		},
		deleted: func(string) {
			m.client.log.WarnContext(ctx, "plan for this worker was deleted", "key", key)
		},
	}
	go func() {
		defer close(out)
		watched.run(ctx)
	}()
	return out
}

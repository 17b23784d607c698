// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Touch tells the owner of a shard that registrations of its users have changed.
func (c *Client) Touch(ctx context.Context, backend string, shard uint32) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := c.keys.change(backend, shard)
	if _, err := c.etcd.Put(ctx, key, ""); err != nil {
		return fmt.Errorf("touching %s: %w", key, c.unreachable(err))
	}
	return nil
}

// Changes sends the numbers of the shards of a backend that are touched from now
// on. A shard touched again before it was received comes once. When "now" cannot be
// learned from etcd, all shards ever touched come. The channel is closed when ctx ends.
func (c *Client) Changes(ctx context.Context, backend string) <-chan uint32 {
	touched, out := make(chan uint32), make(chan uint32)
	watched := &feed{
		client: c,
		key:    c.keys.changesOf(backend),
		prefix: true,
		since:  c.revision(ctx),
		put: func(key string, _ []byte) {
			shard, err := c.keys.shardOf(key, backend)
			if err != nil {
				c.log.WarnContext(ctx, "change was not understood", "error", err)
				return
			}
			select {
			case touched <- shard:
			case <-ctx.Done():
			}
		},
	}
	go watched.run(ctx)
	go func() {
		defer close(out)
		distinct(ctx, touched, out)
	}()
	return out
}

// revision is the current revision, or 0 when it cannot be learned.
func (c *Client) revision(ctx context.Context) int64 {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := c.etcd.Get(ctx, c.keys.config(), clientv3.WithKeysOnly())
	if err != nil {
		return 0
	}
	return response.Header.GetRevision()
}

// distinct passes values on in order, each once while it waits, until ctx ends.
func distinct[T comparable](ctx context.Context, in <-chan T, out chan<- T) {
	var queue []T
	waiting := make(map[T]bool)
	for {
		var send chan<- T
		var next T
		if len(queue) > 0 {
			send, next = out, queue[0]
		}
		select {
		case v := <-in:
			if !waiting[v] {
				waiting[v] = true
				queue = append(queue, v)
			}
		case send <- next:
			delete(waiting, next)
			queue = queue[1:]
		case <-ctx.Done():
			return
		}
	}
}

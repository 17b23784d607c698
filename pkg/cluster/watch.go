// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync"
)

// Watch hints that workers came, went or reported: time to take a snapshot. It hints
// at once, and at least every 30 seconds or so. Hints that were not received yet are
// one. The channel is closed when ctx ends.
func (c *Client) Watch(ctx context.Context) <-chan struct{} {
	return c.hints(ctx, c.keys.workers(), c.keys.haves())
}

// WatchChanges hints that registrations of some shard have changed, at once and at
// least every 30 seconds or so. The channel is closed when ctx ends.
func (c *Client) WatchChanges(ctx context.Context) <-chan struct{} {
	return c.hints(ctx, c.keys.changes())
}

func (c *Client) hints(ctx context.Context, prefixes ...string) <-chan struct{} {
	out := make(chan struct{}, 1)
	hint := func() {
		select {
		case out <- struct{}{}:
		default:
		}
	}
	var feeds sync.WaitGroup
	for _, prefix := range prefixes {
		watched := &feed{
			client:  c,
			key:     prefix,
			prefix:  true,
			since:   c.revision(ctx),
			put:     func(string, []byte) { hint() },
			deleted: func(string) { hint() },
			listed:  hint,
		}
		feeds.Go(func() { watched.run(ctx) })
	}
	go func() {
		feeds.Wait()
		close(out)
	}()
	return out
}

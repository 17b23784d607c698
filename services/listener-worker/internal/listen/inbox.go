// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import "sync"

// maxSpare is the longest queue whose memory is kept for the next one.
const maxSpare = 4096

// inbox is a queue whose senders never wait: they may be readers of connections.
// What they send is bounded at the source, to one word per connection and state.
type inbox struct {
	mu    sync.Mutex
	queue []func()
	spare []func()
	wake  chan struct{}
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// post has f called on the loop, after everything posted before.
func (b *inbox) post(f func()) {
	b.mu.Lock()
	b.queue = append(b.queue, f)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // the loop knows already
	}
}

// drain calls what is queued now, not what that queues in turn.
func (b *inbox) drain() {
	b.mu.Lock()
	batch := b.queue
	b.queue, b.spare = b.spare[:0], nil
	b.mu.Unlock()
	for i, f := range batch {
		batch[i] = nil
		f()
	}
	b.mu.Lock()
	if b.spare == nil && cap(batch) <= maxSpare {
		b.spare = batch[:0]
	}
	more := len(b.queue) > 0
	b.mu.Unlock()
	if more {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

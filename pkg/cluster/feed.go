// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// relistAfter is how long a watch is believed: it alone is never the truth.
	relistAfter = 30 * time.Second
	// feedPause is the wait after an error, jittered.
	feedPause = time.Second
)

// feed hands on what happens to a key or to all keys with a prefix. After a listing
// every put since the last one has been seen, if only in its newest form; deletions
// are seen as long as the watch holds.
type feed struct {
	client *Client
	key    string
	prefix bool
	// since is the revision up to which everything has been handed on. 0 starts with
	// what is there.
	since int64
	// put gets each value put, oldest first, and deleted each key deleted; listed is
	// called after each listing. Nil leaves out what is not needed.
	put     func(key string, value []byte)
	deleted func(key string)
	listed  func()
}

// run feeds until ctx ends.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.list(ctx)
		if err == nil {
			err = f.watch(ctx)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		f.client.log.WarnContext(ctx, "watching etcd was interrupted", "key", f.key, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(jitter(feedPause)):
		}
	}
}

func (f *feed) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	options := append(f.scope(), clientv3.WithMinModRev(f.since+1), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortAscend))
	response, err := f.client.etcd.Get(ctx, f.key, options...)
	if err != nil {
		return fmt.Errorf("listing %s: %w", f.key, err)
	}
	revision := response.Header.GetRevision()
	if revision < f.since {
		// An etcd restored from a backup: all we know is from a future that is no more.
		f.since = 0
		return f.list(ctx)
	}
	for _, kv := range response.Kvs {
		f.onPut(string(kv.GetKey()), kv.GetValue())
	}
	f.since = revision
	if f.listed != nil {
		f.listed()
	}
	return nil
}

// watch hands on events until it is time to list again, or the watch breaks.
func (f *feed) watch(ctx context.Context) error {
	relist := errors.New("time to list again")
	ctx, cancel := context.WithTimeoutCause(ctx, jitter(relistAfter), relist)
	defer cancel()
	// A watch at a member that has lost its majority would be silent for ever.
	watched := clientv3.WithRequireLeader(ctx)
	for response := range f.client.etcd.Watch(watched, f.key, append(f.scope(), clientv3.WithRev(f.since+1))...) {
		if err := response.Err(); err != nil {
			if context.Cause(ctx) != nil {
				return nil
			}
			return fmt.Errorf("watching %s: %w", f.key, err)
		}
		for _, event := range response.Events {
			f.onEvent(event)
		}
	}
	if context.Cause(ctx) == nil {
		return fmt.Errorf("watching %s: the watch ended by itself", f.key)
	}
	return nil
}

func (f *feed) onEvent(event *clientv3.Event) {
	if event.Type == clientv3.EventTypeDelete {
		if f.deleted != nil {
			f.deleted(string(event.Kv.GetKey()))
		}
	} else {
		f.onPut(string(event.Kv.GetKey()), event.Kv.GetValue())
	}
	f.since = max(f.since, event.Kv.GetModRevision())
}

func (f *feed) onPut(key string, value []byte) {
	if f.put != nil {
		f.put(key, value)
	}
}

func (f *feed) scope() []clientv3.OpOption {
	if f.prefix {
		return []clientv3.OpOption{clientv3.WithPrefix()}
	}
	return nil
}

// jitter spreads a time by a fifth to either side, so that a fleet does not beat as one.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}

// replace puts v into ch, which has room for one, in place of what is there. Only
// one goroutine may send.
func replace[T any](ch chan T, v T) {
	for {
		select {
		case ch <- v:
			return
		default:
		}
		select {
		case <-ch:
		default:
		}
	}
}

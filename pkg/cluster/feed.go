// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// relistAfter is how long a watch is believed: it alone is never the truth.
	relistAfter = 30 * time.Second
	// feedPause is the wait after an error, jittered.
	feedPause = time.Second
)

// errRestored is a store that has gone back in time.
var errRestored = errors.New("etcd was restored from a backup")

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
	// found gets, in place of put, the values that a listing has found, each of which may
	// stand for several puts. Nil means put.
	found func(key string, value []byte)
}

// run feeds until ctx ends. Of a row of failures the first is logged.
func (f *feed) run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		err := f.list(ctx)
		if err == nil {
			failing = false
			err = f.watch(ctx)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if !failing {
			f.client.log.WarnContext(ctx, "watching etcd was interrupted", "key", f.key, "error", err)
		}
		failing = true
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
		return fmt.Errorf("listing %s: %w", f.key, f.client.unreachable(err))
	}
	revision := response.Header.GetRevision()
	if revision < f.since {
		// An etcd restored from a backup: all we know is from a future that is no more.
		f.since = 0
		return errRestored
	}
	for _, kv := range response.Kvs {
		f.onFound(kv)
	}
	f.since = revision
	if f.listed != nil {
		f.listed()
	}
	return nil
}

// watch hands on events until the watch breaks or ctx ends, and lists every now and
// then.
func (f *feed) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	relist := time.NewTimer(jitter(relistAfter))
	defer relist.Stop()
	// A watch at a member that has lost its majority would be silent for ever.
	responses := f.client.etcd.Watch(clientv3.WithRequireLeader(ctx), f.key, append(f.scope(), clientv3.WithRev(f.since+1))...)
	for {
		select {
		case <-relist.C:
			if err := f.list(ctx); err != nil {
				return err
			}
			relist.Reset(jitter(relistAfter))
		case response, open := <-responses:
			if !open {
				return fmt.Errorf("watching %s: the watch ended by itself", f.key)
			}
			if err := response.Err(); err != nil {
				return fmt.Errorf("watching %s: %w", f.key, err)
			}
			f.onEvents(response.Events)
		}
	}
}

// onEvents hands on the events of one revision or more. What a listing was faster
// with is left out; a deletion never is, as listings do not show those.
func (f *feed) onEvents(events []*clientv3.Event) {
	seen := f.since
	for _, event := range events {
		seen = max(seen, event.Kv.GetModRevision())
		switch {
		case event.Type == clientv3.EventTypeDelete:
			if f.deleted != nil {
				f.deleted(string(event.Kv.GetKey()))
			}
		case event.Kv.GetModRevision() > f.since:
			f.onPut(event.Kv)
		}
	}
	f.since = seen
}

func (f *feed) onPut(kv *mvccpb.KeyValue) {
	if f.put != nil {
		f.put(string(kv.GetKey()), kv.GetValue())
	}
}

func (f *feed) onFound(kv *mvccpb.KeyValue) {
	if f.found != nil {
		f.found(string(kv.GetKey()), kv.GetValue())
		return
	}
	f.onPut(kv)
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

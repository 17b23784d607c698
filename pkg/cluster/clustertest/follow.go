// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Change is a key as a transaction left it.
type Change struct {
	Key     string
	Created int64 // the revision it was made at; 0 when it was deleted
}

// Follow hands to take what is stored below a prefix, and then what each transaction
// changes there, all of it at once and in order, until ctx ends. Any other end is an
// error: then a transaction may have been missed.
func Follow(ctx context.Context, endpoints []string, prefix string, take func(changes []Change)) error {
	etcd, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("connecting to etcd at %v: %w", endpoints, err)
	}
	defer etcd.Close()
	listed, err := etcd.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("listing %s: %w", prefix, err)
	}
	var there []Change
	for _, kv := range listed.Kvs {
		there = append(there, Change{string(kv.GetKey()), kv.GetCreateRevision()})
	}
	take(there)
	// The client goes on with another member, at the revision after the last it has seen.
	for response := range etcd.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(listed.Header.GetRevision()+1)) {
		if err := response.Err(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("watching %s: %w", prefix, err)
		}
		var changes []Change
		for i, event := range response.Events { // never half a transaction
			changes = append(changes, Change{string(event.Kv.GetKey()), event.Kv.GetCreateRevision()})
			if next := i + 1; next == len(response.Events) || response.Events[next].Kv.GetModRevision() != event.Kv.GetModRevision() {
				take(changes)
				changes = nil
			}
		}
	}
	if ctx.Err() == nil {
		return fmt.Errorf("watching %s: the watch ended by itself", prefix)
	}
	return nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// Touch tells the owner of a shard what has changed of it in the registry.
func (c *Client) Touch(ctx context.Context, at shard.ID, change shard.Change) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := c.keys.change(at.Backend, at.Number)
	value, err := encodeChange(change)
	if err != nil {
		return fmt.Errorf("touching %s: %w", key, err)
	}
	if _, err := c.etcd.Put(ctx, key, value); err != nil {
		return fmt.Errorf("touching %s: %w", key, c.unreachable(err))
	}
	return nil
}

// Changes sends what changes of the shards of a backend from now on. Changes of a shard
// that were not received yet are one. A change that was not seen as it was made, for the
// watch had broken, is sent as one of any user. When "now" cannot be learned from etcd, all
// shards ever touched come. The channel is closed when ctx ends.
func (c *Client) Changes(ctx context.Context, backend string) <-chan hold.Changed {
	touched, out := make(chan hold.Changed), make(chan hold.Changed)
	send := func(key string, change shard.Change) {
		number, err := c.keys.shardOf(key, backend)
		if err != nil {
			c.log.WarnContext(ctx, "change was not understood", "error", err)
			return
		}
		select {
		case touched <- hold.Changed{Shard: shard.ID{Backend: backend, Number: number}, Change: change}:
		case <-ctx.Done():
		}
	}
	watched := &feed{
		client: c,
		key:    c.keys.changesOf(backend),
		prefix: true,
		since:  c.revision(ctx),
		put: func(key string, value []byte) {
			change, err := decodeChange(key, value)
			if err != nil {
				c.log.WarnContext(ctx, "change was not understood, the shard is read whole", "error", err)
			}
			send(key, change)
		},
		found: func(key string, _ []byte) { send(key, shard.Change{}) },
	}
	go watched.run(ctx)
	go func() {
		defer close(out)
		merge(ctx, touched, out)
	}()
	return out
}

// encodeChange is the value to put. A change of any user has the empty one, which earlier
// releases put for all.
func encodeChange(change shard.Change) (string, error) {
	if change.Whole() {
		return "", nil
	}
	message := &clusterv1.Change{Format: format}
	for _, user := range change.Users {
		message.Users = append(message.Users, &mailv1.User{ContextId: user.Context, UserId: user.ID})
	}
	return encode(message)
}

// decodeChange reads the value of key. What cannot be read is a change of any user.
func decodeChange(key string, value []byte) (shard.Change, error) {
	if len(value) == 0 {
		return shard.Change{}, nil
	}
	message := new(clusterv1.Change)
	if err := decode(key, value, message); err != nil {
		return shard.Change{}, err
	}
	users := make([]userid.User, len(message.GetUsers()))
	for i, user := range message.GetUsers() {
		users[i] = userid.User{Context: user.GetContextId(), ID: user.GetUserId()}
		if !userid.Valid(users[i].Context) || !userid.Valid(users[i].ID) {
			return shard.Change{}, fault.New(fault.DataLoss, "key %s: %q is no user", key, users[i])
		}
	}
	return shard.ChangeOf(users...), nil
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

// merge passes changes on until ctx ends, those of a shard as one while they wait, and the
// shards in the order in which they came.
func merge(ctx context.Context, in <-chan hold.Changed, out chan<- hold.Changed) {
	var queue []shard.ID
	waiting := make(map[shard.ID]shard.Change)
	for {
		var send chan<- hold.Changed
		var next hold.Changed
		if len(queue) > 0 {
			send, next = out, hold.Changed{Shard: queue[0], Change: waiting[queue[0]]}
		}
		select {
		case changed := <-in:
			before, waits := waiting[changed.Shard]
			if waits {
				changed.Change = before.Merge(changed.Change)
			} else {
				queue = append(queue, changed.Shard)
			}
			waiting[changed.Shard] = changed.Change
		case send <- next:
			delete(waiting, next.Shard)
			queue = queue[1:]
		case <-ctx.Done():
			return
		}
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrDeposed is returned to a leader that leads no more.
var ErrDeposed = errors.New("another leads the cluster, or nobody does")

// Term is one time of leading, on a lease of its own: workers never notice its end.
// Done is a courtesy; what keeps a deposed leader from writing are the comparisons
// of Apply.
type Term struct {
	client *Client
	lease  *lease
	key    string
	// created is the revision our key was made at: no other key has it.
	created int64
}

// Campaign waits until this process leads. Each call is a candidate of its own,
// with a new lease and key; the key layout is that of etcd's concurrency.Election,
// but the wait ends when the lease does. Call Resign on the term.
func (c *Client) Campaign(ctx context.Context, name string) (*Term, error) {
	held, err := c.stand(ctx)
	if err != nil {
		return nil, fmt.Errorf("campaigning: %w", err)
	}
	t := &Term{client: c, lease: held, key: c.keys.leader(int64(held.id))}
	if err := t.win(ctx, name); err != nil {
		// An error can leave our key behind; without its lease it goes.
		return nil, fmt.Errorf("campaigning: %w", errors.Join(err, t.Resign(context.WithoutCancel(ctx))))
	}
	return t, nil
}

func (c *Client) stand(ctx context.Context) (*lease, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return c.lease(ctx)
}

// win puts our key and waits until it is the oldest.
func (t *Term) win(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-t.lease.doubted:
			cancel(ErrDeposed)
		case <-ctx.Done():
		}
	}()
	if err := t.putKey(ctx, name); err != nil {
		return err
	}
	for {
		waited, err := t.waitForPredecessor(ctx)
		if err != nil {
			return err
		}
		// After the wait our own key is looked for once more: a candidate whose lease
		// is gone has no predecessors either.
		if !waited {
			return t.check(ctx)
		}
	}
}

func (t *Term) putKey(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := t.client.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(t.key), "=", 0)).
		Then(clientv3.OpPut(t.key, name, clientv3.WithLease(t.lease.id))).
		Commit()
	if err != nil {
		return t.client.unreachable(err)
	}
	if !response.Succeeded {
		return fmt.Errorf("creating key %s: it exists", t.key)
	}
	t.created = response.Header.GetRevision()
	return nil
}

// waitForPredecessor waits until the candidate just before us is gone, or a while.
// It reports false when there is none.
func (t *Term) waitForPredecessor(ctx context.Context) (bool, error) {
	// With their values: keys alone come without their leases.
	before := append(byAge(), clientv3.WithMaxCreateRev(t.created-1))
	response, err := t.get(ctx, t.client.keys.leaders(), before...)
	if err != nil {
		return false, err
	}
	slices.Reverse(response.Kvs)
	predecessor := firstLeased(response.Kvs)
	if predecessor == nil {
		return false, nil
	}
	watched, cancel := context.WithTimeout(ctx, jitter(relistAfter))
	defer cancel()
	events := t.client.etcd.Watch(clientv3.WithRequireLeader(watched), string(predecessor.GetKey()),
		clientv3.WithRev(response.Header.GetRevision()+1), clientv3.WithFilterPut())
	broken := false
	for event := range events {
		if len(event.Events) > 0 {
			return true, nil
		}
		broken = broken || event.Err() != nil
	}
	if ctx.Err() == nil && broken && watched.Err() == nil {
		// A watch that breaks at once must not become a loop that spins.
		select {
		case <-ctx.Done():
		case <-time.After(jitter(feedPause)):
		}
	}
	return true, context.Cause(ctx)
}

// check looks for our key as we made it.
func (t *Term) check(ctx context.Context) error {
	response, err := t.get(ctx, t.key, clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	if len(response.Kvs) == 0 || response.Kvs[0].GetCreateRevision() != t.created {
		return ErrDeposed
	}
	return nil
}

func (t *Term) get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := t.client.etcd.Get(bounded, key, options...)
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, t.client.unreachable(err)
	}
	return response, nil
}

// Done is closed when the term's lease is gone, or has been in doubt: a leader that
// does not know whether it leads stops.
func (t *Term) Done() <-chan struct{} { return t.lease.doubted }

// Resign ends the term; the next candidate leads at once.
func (t *Term) Resign(ctx context.Context) error {
	if err := t.lease.close(ctx); err != nil {
		return fmt.Errorf("resigning: %w", err)
	}
	return nil
}

// Leader returns the name of the leader; empty when there is none.
func (c *Client) Leader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := c.etcd.Get(ctx, c.keys.leaders(), byAge()...)
	if err != nil {
		return "", fmt.Errorf("asking for the leader: %w", c.unreachable(err))
	}
	return string(firstLeased(response.Kvs).GetValue()), nil
}

// byAge lists all keys with a prefix, the oldest first.
func byAge() []clientv3.OpOption {
	return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend)}
}

// firstLeased returns the first candidate's key, or nil. A key without a lease is no
// candidate's: it would never go, and nobody would ever lead.
func firstLeased(keys []*mvccpb.KeyValue) *mvccpb.KeyValue {
	for _, kv := range keys {
		if leased(kv) == nil {
			return kv
		}
	}
	return nil
}

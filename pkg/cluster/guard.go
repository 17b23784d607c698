// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// guard watches the registration's own key, which nobody else should touch, until ctx
// ends. When it is deleted, or deleted and made anew, the registration is over, as the
// leader takes it for gone; when it is overwritten it is stored again, under its lease.
// A watch tells of neither when it has broken in between, so each listing looks, too.
func (m *Member) guard(ctx context.Context) {
	watched := &feed{
		client:  m.client,
		key:     m.key(),
		since:   m.created,
		put:     func(string, []byte) { m.inspect(ctx) },
		deleted: func(string) { m.lease.fallen() },
		listed:  func() { m.inspect(ctx) },
	}
	watched.run(ctx)
}

// inspect looks after the registration.
func (m *Member) inspect(ctx context.Context) {
	kv, err := m.registration(ctx, m.client.etcd)
	switch {
	case errors.Is(err, ErrLost):
		m.lease.fallen()
		return
	case err != nil:
		return // the next listing looks again
	}
	if err := m.intact(kv); err != nil {
		m.client.log.ErrorContext(ctx, "registration was overwritten, and is stored again", "error", err)
		m.restore(ctx)
	}
}

// standing returns nil when the registration is there, as the right to act rests on it.
func (m *Member) standing(ctx context.Context) error {
	_, err := m.registration(ctx, m.lease.conn)
	return err
}

// registration reads our key, whatever is stored there now. ErrLost means that it is
// not the one we made.
func (m *Member) registration(ctx context.Context, etcd *clientv3.Client) (*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := etcd.Get(ctx, m.key())
	if err != nil {
		return nil, m.client.unreachable(err)
	}
	if len(response.Kvs) == 0 || response.Kvs[0].GetCreateRevision() != m.created {
		return nil, ErrLost
	}
	return response.Kvs[0], nil
}

// intact returns what is wrong with our key.
func (m *Member) intact(kv *mvccpb.KeyValue) error {
	if _, err := decodeWorker(m.key(), m.ID(), kv.GetValue()); err != nil {
		return err
	}
	if lease := clientv3.LeaseID(kv.GetLease()); lease != m.lease.id {
		return fmt.Errorf("key %s: its lease is %x, not %x", m.key(), lease, m.lease.id)
	}
	return nil
}

// restore stores the registration as it should be.
func (m *Member) restore(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	value, err := encode(m.worker)
	if err == nil {
		_, err = m.client.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(m.key()), "=", m.created)).
			Then(clientv3.OpPut(m.key(), value, clientv3.WithLease(m.lease.id))).
			Commit()
	}
	if err != nil && ctx.Err() == nil {
		m.client.log.ErrorContext(ctx, "registration could not be stored again", "key", m.key(), "error", m.client.unreachable(err))
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// guard watches the registration's own key, which nobody else should touch, until ctx
// ends. When it is deleted while the right to act is current, the registration is over
// at once, as the leader takes it for gone; when it is overwritten it is stored again,
// under its lease.
func (m *Member) guard(ctx context.Context) {
	key := m.key()
	watched := &feed{
		client: m.client,
		key:    key,
		since:  m.created,
		put: func(_ string, value []byte) {
			if _, err := decodeWorker(key, m.ID(), value); err != nil {
				m.client.log.ErrorContext(ctx, "registration was overwritten, and is stored again", "error", err)
				m.restore(ctx)
			}
		},
		deleted: func(string) {
			// In doubt it may have run out in an etcd that is going down, where nobody
			// takes over: whether it is over is for the renewals to find out.
			if m.lease.held() {
				m.lease.lose()
			}
		},
	}
	watched.run(ctx)
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

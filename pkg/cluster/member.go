// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// ErrLost is returned for what only a live member may do.
var ErrLost = errors.New("the registration in the cluster has ended")

// Member is one registration of a worker: an id of its own, on a lease of its own.
// It is safe for concurrent use.
type Member struct {
	client *Client
	lease  *lease
	id     string
	// created is the revision the worker's key was made at.
	created int64
	// guarded is the watch over the worker's key, which unguard ends.
	guarded sync.WaitGroup
	unguard context.CancelFunc

	mu      sync.Mutex
	worker  *clusterv1.Worker
	haveRev int64 // revision of our own have, as last known
}

// Join registers a worker under a fresh id; whatever id, format and start time the
// given worker has are replaced. Call Leave on the member, also after it was lost.
func (c *Client) Join(ctx context.Context, worker *clusterv1.Worker) (*Member, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	held, err := c.lease(ctx)
	if err != nil {
		return nil, fmt.Errorf("joining the cluster: %w", err)
	}
	m := &Member{client: c, lease: held, id: newID(), worker: proto.CloneOf(worker)}
	m.worker.Format, m.worker.Id, m.worker.StartedAt = format, m.id, timestamppb.Now()
	if err := m.register(ctx); err != nil {
		return nil, fmt.Errorf("joining the cluster: %w", errors.Join(err, held.close(context.WithoutCancel(ctx))))
	}
	held.bear(m.standing)
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.unguard = cancel
	m.guarded.Go(func() { m.guard(life) })
	return m, nil
}

// lease takes a lease on a connection of its own.
func (c *Client) lease(ctx context.Context) (*lease, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, c.unreachable(err)
	}
	held, err := grant(ctx, conn, c.leaseTTL())
	if err != nil {
		_ = conn.Close()
		return nil, c.unreachable(err)
	}
	return held, nil
}

func (m *Member) register(ctx context.Context) error {
	key := m.key()
	value, err := encode(m.worker)
	if err != nil {
		return err
	}
	response, err := m.client.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value, clientv3.WithLease(m.lease.id))).
		Commit()
	if err != nil {
		return m.client.unreachable(err)
	}
	if !response.Succeeded {
		return fmt.Errorf("creating key %s: it exists", key)
	}
	m.created = response.Header.GetRevision()
	return nil
}

func (m *Member) key() string { return m.client.keys.worker(m.ID()) }

// ID returns the id of this registration, in the worker's logs and in every list.
func (m *Member) ID() string { return m.id }

// Lease is the lease that the registration hangs on, for [Revoke].
func (m *Member) Lease() int64 { return int64(m.lease.id) }

// Lost is closed when the registration is over: its key is gone. Join again for a
// new one.
func (m *Member) Lost() <-chan struct{} { return m.lease.lost }

// Right tells whether the right to act is current. It reads the clock, so it is true
// to the moment even right after a suspend. In doubt, a registration that is not lost
// may be current again later: then it has never been taken over.
func (m *Member) Right() hold.Right {
	if m.lease.held() {
		return hold.Current
	}
	return hold.InDoubt
}

// RightChanged hints, within about 100 ms, that Right is another now.
func (m *Member) RightChanged() <-chan struct{} { return m.lease.changed }

// Until is when the right to act ends, or has ended.
func (m *Member) Until() time.Time { return time.Now().Add(m.lease.until() - bootTime()) }

// Report stores what the worker really runs. Reports are stored in the order of
// their calls; ErrLost means that the registration is gone.
func (m *Member) Report(ctx context.Context, have *clusterv1.Have) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	have = proto.CloneOf(have)
	have.Format = format
	value, err := encode(have)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := m.client.keys.have(m.ID())
	// A report whose outcome stayed unknown may have landed. It is ours all the same,
	// so the revision found is taken over, and the comparison keeps it from landing
	// after this one.
	for range 2 {
		stored, err := m.storeHave(ctx, key, value)
		if err != nil || stored {
			return err
		}
	}
	return fmt.Errorf("reporting to key %s: somebody else writes to it", key)
}

// storeHave stores the value if the key is as last known, else learns its revision.
func (m *Member) storeHave(ctx context.Context, key, value string) (bool, error) {
	select {
	case <-m.Lost():
		return false, ErrLost
	default:
	}
	response, err := m.client.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(m.key()), "=", m.created),
			clientv3.Compare(clientv3.ModRevision(key), "=", m.haveRev)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpGet(m.key(), clientv3.WithKeysOnly()), clientv3.OpGet(key, clientv3.WithKeysOnly())).
		Commit()
	if err != nil {
		return false, fmt.Errorf("reporting to key %s: %w", key, m.client.unreachable(err))
	}
	if response.Succeeded {
		m.haveRev = response.Header.GetRevision()
		return true, nil
	}
	registered := response.Responses[0].GetResponseRange().GetKvs()
	if len(registered) == 0 || registered[0].GetCreateRevision() != m.created {
		m.lease.lose()
		return false, ErrLost
	}
	m.haveRev = 0
	if found := response.Responses[1].GetResponseRange().GetKvs(); len(found) > 0 {
		m.haveRev = found[0].GetModRevision()
	}
	return false, nil
}

// Drain asks for the worker's shards to be taken away, or takes that back.
func (m *Member) Drain(ctx context.Context, draining bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	worker := proto.CloneOf(m.worker)
	worker.Draining = draining
	value, err := encode(worker)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := m.client.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(m.key()), "=", m.created)).
		Then(clientv3.OpPut(m.key(), value, clientv3.WithIgnoreLease())).
		Commit()
	if err != nil {
		return fmt.Errorf("updating key %s: %w", m.key(), m.client.unreachable(err))
	}
	if !response.Succeeded {
		return ErrLost
	}
	m.worker = worker
	return nil
}

// Leave ends the right to act and the registration. The worker's want and have stay
// behind for the leader, who needs them to hand the shards on.
func (m *Member) Leave(ctx context.Context) error {
	m.unguard()
	m.guarded.Wait()
	if err := m.lease.close(ctx); err != nil {
		return fmt.Errorf("leaving the cluster: %w", err)
	}
	return nil
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package clustertest starts an etcd of several members for tests, and does to one what
// mailpush never would: it spoils values, fills the disk and changes who may do what.
// Invariant: it goes past package cluster, so what it finds is what is stored.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Raw is a client of an etcd without a password, or of one that takes root's.
type Raw struct {
	etcd     *clientv3.Client
	endpoint string
}

// rootPassword is root's in an etcd that Guard has locked.
const rootPassword = "root"

// Dial makes a client.
func Dial(endpoint string) (*Raw, error) {
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %w", endpoint, err)
	}
	return &Raw{etcd: etcd, endpoint: endpoint}, nil
}

// Close ends the connection.
func (r *Raw) Close() error { return r.etcd.Close() }

// Get returns the value of a key; empty when there is none.
func (r *Raw) Get(ctx context.Context, key string) (string, error) {
	response, err := r.etcd.Get(ctx, key)
	if err != nil || len(response.Kvs) == 0 {
		return "", err
	}
	return string(response.Kvs[0].Value), nil
}

// Put stores a value; a key that is there keeps its lease.
func (r *Raw) Put(ctx context.Context, key, value string) error {
	_, err := r.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpPut(key, value, clientv3.WithIgnoreLease())).
		Commit()
	return err
}

// Delete deletes a key.
func (r *Raw) Delete(ctx context.Context, key string) error {
	_, err := r.etcd.Delete(ctx, key)
	return err
}

// Fill writes until etcd has no space left and says so to everybody.
func (r *Raw) Fill(ctx context.Context) error {
	filler := strings.Repeat("x", 256<<10)
	for {
		if _, err := r.etcd.Put(ctx, "/filler", filler); errors.Is(err, rpctypes.ErrNoSpace) {
			return nil
		} else if err != nil {
			return fmt.Errorf("filling etcd: %w", err)
		}
	}
}

// MakeSpace does what an operator does then: it removes history, gives the space back
// and ends the alarm.
func (r *Raw) MakeSpace(ctx context.Context) error {
	now, err := r.etcd.Delete(ctx, "/filler")
	if err != nil {
		return fmt.Errorf("deleting what fills etcd: %w", err)
	}
	if _, err := r.etcd.Compact(ctx, now.Header.GetRevision(), clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compacting etcd: %w", err)
	}
	if _, err := r.etcd.Defragment(ctx, r.endpoint); err != nil {
		return fmt.Errorf("defragmenting etcd: %w", err)
	}
	if _, err := r.etcd.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("ending the alarm: %w", err)
	}
	return nil
}

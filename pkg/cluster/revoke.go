// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Revoke ends the lease of a registration before its time, and the registration with it:
// the leader grants its shards to others at once. Nothing of that is fenced by time, so
// only who knows that the worker's process is dead may call it. What such a process has
// sent, and what is still on its way, is fenced by the epochs of its successors.
//
// A lease that is not there any more is no error. Revoke makes a connection of its own, as
// who calls it has nothing else to do with etcd. It takes until ctx ends, and a second to
// find out why.
func Revoke(ctx context.Context, config Config, lease int64) error {
	if err := config.check(); err != nil {
		return err
	}
	c := &Client{config: config, keys: layoutOf(config), log: slog.New(slog.DiscardHandler)}
	etcd, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("revoking a lease: %w", c.unreachable(err))
	}
	defer etcd.Close()
	_, err = etcd.Revoke(ctx, clientv3.LeaseID(lease))
	switch {
	case err == nil, errors.Is(err, rpctypes.ErrLeaseNotFound):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		err = c.why(etcd, err)
	}
	return fmt.Errorf("revoking a lease: %w", c.unreachable(err))
}

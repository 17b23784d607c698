// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Belong returns nil when the cluster is the one of an installation, as is one that has
// been nobody's until now. Of another's the error is of kind Precondition: two that meet
// under one prefix, by the same name as both took the default, would share their workers
// and each leave the users of the other alone. Nobody is told of settings that cannot be
// read, and an empty installation, which is not known yet, is anybody's.
//
// The certificates' authority tells installations apart as well, but is replaced by
// another; what must not be mixed up are the registries.
func (c *Client) Belong(ctx context.Context, installation string) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := c.keys.config()
	for {
		response, err := c.etcd.Get(ctx, key)
		if err != nil {
			return c.unreachable(err)
		}
		stored := new(clusterv1.Config)
		if len(response.Kvs) == 0 || decode(key, response.Kvs[0].GetValue(), stored) != nil || installation == "" {
			return nil
		}
		switch stored.GetInstallationId() {
		case installation:
			return nil
		case "":
			ours, err := c.claim(ctx, key, response.Kvs[0].GetModRevision(), stored, installation)
			if err != nil || ours {
				return err
			}
		default:
			return fault.New(fault.Precondition,
				"key %s: the cluster there is of installation %s, the registry here is of installation %s: give each a prefix of its own",
				key, stored.GetInstallationId(), installation)
		}
	}
}

// claim notes whose the cluster is, if its settings are as they were read.
func (c *Client) claim(ctx context.Context, key string, revision int64, stored *clusterv1.Config, installation string) (bool, error) {
	claimed := proto.CloneOf(stored)
	claimed.InstallationId = installation
	value, err := encode(claimed)
	if err != nil {
		return false, err
	}
	response, err := c.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, value)).
		Commit()
	if err != nil {
		return false, c.unreachable(err)
	}
	return response.Succeeded, nil
}

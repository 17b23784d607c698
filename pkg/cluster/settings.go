// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// settle reads the cluster's settings, or makes the cluster, and compares them with
// what is configured here.
func (c *Client) settle(ctx context.Context) error {
	key := c.keys.config()
	// Reading comes first: an etcd that is full still answers.
	response, err := c.etcd.Get(ctx, key)
	if err != nil {
		return c.unreachable(err)
	}
	if len(response.Kvs) == 0 {
		return c.found(ctx, key)
	}
	c.settings = new(clusterv1.Config)
	if err := decode(key, response.Kvs[0].GetValue(), c.settings); err != nil {
		return err
	}
	if err := c.compare(key); err != nil {
		return err
	}
	if c.settings.GetName() == "" && c.config.Name != "" {
		return c.call(ctx, key, response.Kvs[0].GetModRevision())
	}
	return nil
}

// found makes a new cluster.
func (c *Client) found(ctx context.Context, key string) error {
	fresh := &clusterv1.Config{
		Format:          format,
		ClusterId:       newID(),
		Name:            c.config.Name,
		Shards:          cmp.Or(c.config.Shards, DefaultShards),
		LeaseTtlSeconds: uint32(cmp.Or(c.config.LeaseTTL, DefaultLeaseTTL) / time.Second),
	}
	ours, err := c.put(ctx, key, clientv3.Compare(clientv3.CreateRevision(key), "=", 0), fresh)
	if err != nil || !ours {
		return err
	}
	c.log.InfoContext(ctx, "made a new cluster", "prefix", string(c.keys), "cluster_id", fresh.GetClusterId(), "shards", fresh.GetShards())
	return nil
}

// call gives a cluster without a name the one configured here. Of two processes that
// call it differently, the later one is refused.
func (c *Client) call(ctx context.Context, key string, revision int64) error {
	named := proto.CloneOf(c.settings)
	named.Name = c.config.Name
	_, err := c.put(ctx, key, clientv3.Compare(clientv3.ModRevision(key), "=", revision), named)
	return err
}

// put stores settings if the key is as it was read, and settles on those of somebody
// else who was faster. ours tells which of the two happened.
func (c *Client) put(ctx context.Context, key string, unchanged clientv3.Cmp, settings *clusterv1.Config) (ours bool, err error) {
	value, err := encode(settings)
	if err != nil {
		return false, err
	}
	response, err := c.etcd.Txn(ctx).If(unchanged).Then(clientv3.OpPut(key, value)).Commit()
	if err != nil {
		return false, c.unreachable(err)
	}
	if !response.Succeeded {
		return false, c.settle(ctx)
	}
	c.settings = settings
	return true, nil
}

// compare refuses settings other than those configured: two opinions on the number
// of shards would give users two owners.
func (c *Client) compare(key string) error {
	shards, ttl := c.settings.GetShards(), c.leaseTTL()
	switch {
	case shards == 0 || shards&(shards-1) != 0 || ttl < MinLeaseTTL:
		return fault.New(fault.DataLoss, "key %s: %d shards and a lease of %v make no cluster", key, shards, ttl)
	case c.config.Name != "" && c.settings.GetName() != "" && c.config.Name != c.settings.GetName():
		// First: whoever is in the wrong place differs in more than that.
		return fault.New(fault.Precondition, "key %s: the cluster there is %q, %q is configured here: give each a prefix of its own",
			key, c.settings.GetName(), c.config.Name)
	case c.config.Shards != 0 && c.config.Shards != shards:
		return fault.New(fault.Precondition, "key %s: the cluster has %d shards, %d are configured here", key, shards, c.config.Shards)
	case c.config.LeaseTTL != 0 && c.config.LeaseTTL != ttl:
		return fault.New(fault.Precondition, "key %s: the cluster has a lease of %v, %v is configured here", key, ttl, c.config.LeaseTTL)
	}
	return nil
}

// newID is a random name of 13 lower-case characters (64 bits), fresh for ever.
func newID() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, by its documentation
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:]))
}

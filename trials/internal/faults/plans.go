// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"mailpush.internal/pkg/cluster"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// plans looks at the plan after every change and notes what must never be: a want
// that goes back, as it would if the change of a deposed leader landed, and a shard
// that two live workers are granted.
type plans struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	generations map[string]uint64
	epochs      map[place]uint64
	looks       int
	bad         []string
}

type place struct {
	backend string
	shard   uint32
}

func watchPlans(client *cluster.Client) *plans {
	ctx, cancel := context.WithCancel(context.Background())
	p := &plans{cancel: cancel, generations: make(map[string]uint64), epochs: make(map[place]uint64)}
	p.work.Go(func() {
		for range client.Watch(ctx) {
			if snapshot, err := client.Snapshot(ctx); err == nil { // else etcd is away
				p.look(snapshot)
			}
		}
	})
	return p
}

// close ends the watch and returns what was noted.
func (p *plans) close() error {
	p.cancel()
	p.work.Wait()
	var errs []error
	for _, bad := range p.bad {
		errs = append(errs, errors.New(bad))
	}
	p.bad = nil
	return errors.Join(errs...)
}

func (p *plans) look(snapshot *cluster.Snapshot) {
	p.looks++
	owner := make(map[place]string)
	for _, entry := range snapshot.Entries {
		if generation := entry.Want.GetGeneration(); entry.Want != nil && generation < p.generations[entry.ID] {
			p.bad = append(p.bad, fmt.Sprintf("the want of %s goes back from generation %d to %d", entry.ID, p.generations[entry.ID], generation))
		}
		p.generations[entry.ID] = max(p.generations[entry.ID], entry.Want.GetGeneration())
		if entry.Worker != nil {
			p.granted(entry.ID, entry.Want, owner)
		}
	}
}

func (p *plans) granted(id string, want *clusterv1.Want, owner map[place]string) {
	for _, set := range want.GetGranted() {
		for i, shard := range set.GetShards() {
			at, epoch := place{set.GetBackend(), shard}, set.GetEpochs()[i]
			if other := owner[at]; other != "" {
				p.bad = append(p.bad, fmt.Sprintf("shard %d is granted to %s and to %s", shard, other, id))
			}
			owner[at] = id
			if epoch < p.epochs[at] {
				p.bad = append(p.bad, fmt.Sprintf("shard %d is granted under epoch %d after %d", shard, epoch, p.epochs[at]))
			}
			p.epochs[at] = max(p.epochs[at], epoch)
		}
	}
}

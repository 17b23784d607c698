// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net/http"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	"mailpush.internal/proto/gen/mailpush/scheduler/v1/schedulerv1connect"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Scheduler is any replica of the scheduler. It is safe for concurrent use.
type Scheduler struct {
	client schedulerv1connect.SchedulerServiceClient
	http   *http.Client
}

// NewScheduler makes a client of the scheduler's replicas.
func NewScheduler(id *identity.Identity, addresses []string, calls *rpc.Calls) *Scheduler {
	c := calls.Count(rpc.Client(id, identity.Scheduler, addresses), identity.Scheduler)
	return &Scheduler{schedulerv1connect.NewSchedulerServiceClient(c, rpc.BaseURL), c}
}

// Close lets go of idle connections.
func (s *Scheduler) Close() { s.http.CloseIdleConnections() }

// Members asks for the live workers.
func (s *Scheduler) Members(ctx context.Context) (edge.Members, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := call(ctx, "the scheduler", s.client.ListWorkers, &schedulerv1.ListWorkersRequest{})
	if err != nil {
		return edge.Members{}, err
	}
	members := edge.Members{Leader: res.GetLeader()}
	for _, w := range res.GetWorkers() {
		members.Workers = append(members.Workers, edge.Worker{
			ID: w.GetId(), Address: w.GetAddress(), Version: w.GetVersion(), Backends: w.GetBackends(),
			Capacity: w.GetCapacity(), Listeners: w.GetListeners(), Draining: w.GetDraining(), Unread: w.GetUnread(),
			StartedAt: moment(w.GetStartedAt()), Held: claims(w.GetHeld()),
		})
	}
	return members, nil
}

func claims(sets []*mailv1.ShardSet) []registry.Claim {
	var out []registry.Claim
	for _, set := range sets {
		for i, shard := range set.GetShards() {
			c := registry.Claim{Shard: registry.Shard{Backend: set.GetBackend(), Number: shard}}
			if i < len(set.GetEpochs()) {
				c.Epoch = set.GetEpochs()[i]
			}
			out = append(out, c)
		}
	}
	return out
}

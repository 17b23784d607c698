// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/dovecot"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/mailnotify"
	"mailpush.internal/services/listener-worker/internal/owner"
	"mailpush.internal/services/listener-worker/internal/peers"
	handler "mailpush.internal/services/listener-worker/internal/rpc"
	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// parts are what a worker is made of.
type parts struct {
	sources     map[string]listen.Source
	credentials *peers.Vault
	webhooks    *webhooks
	listeners   *listen.Loop
	delivery    *deliver.Loop
	owner       *owner.Owner
	hints       *hints.Hub
	close       func() // drops idle connections
}

// backends are the ways to notice mail that there are, by their names. Each is made of the
// service, the one that reads over IMAP for all of them, and whether the right to act is
// current.
func backends() map[string]func(s *Service, byIMAP listen.Source, current func() bool) listen.Source {
	return map[string]func(s *Service, byIMAP listen.Source, current func() bool) listen.Source{
		imap.Name: func(_ *Service, byIMAP listen.Source, _ func() bool) listen.Source { return byIMAP },
		dovecot.Name: func(s *Service, byIMAP listen.Source, current func() bool) listen.Source {
			return dovecot.New(dovecot.Config{
				IMAP: byIMAP, Key: s.live.doveadmKey, Current: current, Log: s.rt.Log, Metrics: s.rt.Metrics,
			})
		},
		mailnotify.Name: func(_ *Service, byIMAP listen.Source, _ func() bool) listen.Source {
			return mailnotify.NewSource(byIMAP)
		},
	}
}

// sources are the backends that this worker is to have.
func (s *Service) sources(current func() bool) map[string]listen.Source {
	byIMAP := imap.New(imap.Config{Log: s.rt.Log, Metrics: s.rt.Metrics, ReleaseTLSBuffers: s.cfg.ReleaseTLSBuffers})
	out := make(map[string]listen.Source, len(s.cfg.Backends))
	for _, backend := range s.cfg.Backends {
		out[backend] = backends()[backend](s, byIMAP, current)
	}
	return out
}

// closeSources ends what sources do beside their mailboxes.
func closeSources(sources map[string]listen.Source) {
	for _, source := range sources {
		if closer, able := source.(interface{ Close() }); able {
			closer.Close()
		}
	}
}

func (s *Service) assemble(etcd *cluster.Client, hub *hints.Hub) parts {
	settings := etcd.Settings()
	calls := rpc.NewCalls(s.rt.Metrics)
	to := func(service string, addrs []string) *http.Client {
		return calls.Count(s.clocks.Watch(service, rpc.Client(s.rt.Identity, service, addrs)), service)
	}
	toRegistry, toVault := to(identity.Admin, s.cfg.RegistryAddrs), to(identity.Vault, s.cfg.VaultAddrs)
	registry := peers.NewRegistry(toRegistry)
	found := &sink{}
	w := parts{
		sources:     s.sources(func() bool { return found.owner.Current() }),
		hints:       hub,
		credentials: peers.NewVault(toVault),
		webhooks:    &s.live.webhooks,
	}
	w.webhooks.start(webhook.Config{
		Instance: cmp.Or(s.cfg.Instance, settings.GetClusterId()), Version: s.rt.Version, Log: s.rt.Log,
	})
	w.listeners = listen.New(listen.Config{
		Sources: w.sources, Log: s.rt.Log, Metrics: s.rt.Metrics, Workers: etcd.Workers,
	}, w.credentials, found)
	w.delivery = deliver.New(deliver.Config{
		Log: s.rt.Log, Metrics: s.rt.Metrics,
		Current: func() bool { return found.owner.Current() },
		Refused: func(claims []hold.Claim) { found.owner.Refused(claims) },
	}, transport.Table{transport.Webhook: w.webhooks}, w.credentials, registry, w.listeners)
	w.owner = owner.New(owner.Config{
		Log: s.rt.Log, Backends: s.cfg.Backends, Shards: settings.GetShards(),
	}, s.member(etcd, registry), registry, w.listeners, w.delivery)
	found.delivery, found.owner = w.delivery, w.owner
	s.showGauges(w.owner)
	others := peers.NewWorkers(s.rt.Identity)
	w.hints.Join(hints.Worker{
		Shards: settings.GetShards(), Self: w.owner.ID, Listeners: w.listeners, Workers: others, Unknown: w.unknown,
		Names: peers.Names{Registry: registry, LocalParts: map[string]bool{mailnotify.Name: !s.cfg.MailNotify.FullAddress}},
	})
	w.close = func() {
		closeSources(w.sources)
		others.Close()
		toRegistry.CloseIdleConnections()
		toVault.CloseIdleConnections()
		w.webhooks.Close()
	}
	return w
}

func (s *Service) handler(w parts) http.Handler {
	options := rpc.HandlerOptions(s.rt.Log, rpc.MaxInternalBytes, identity.Allow(map[string][]string{
		workerv1connect.WorkerServiceGetListenersProcedure:  {identity.Admin},
		workerv1connect.WorkerServiceGetBaselineProcedure:   {identity.Admin},
		workerv1connect.WorkerServiceGetBaselinesProcedure:  {identity.Admin},
		workerv1connect.WorkerServiceSetDrainingProcedure:   {identity.Admin},
		workerv1connect.WorkerServiceGetDeliveriesProcedure: {identity.Admin},
		workerv1connect.WorkerServiceSendTestProcedure:      {identity.Admin},
		workerv1connect.WorkerServiceSendEndingsProcedure:   {identity.Admin},
		workerv1connect.WorkerServiceNotifyProcedure:        {identity.Worker},
		workerv1connect.WorkerServiceRetryProcedure:         {identity.Admin},
		workerv1connect.WorkerServiceExplainUserProcedure:   {identity.Admin},
	}))
	mux := http.NewServeMux()
	mux.Handle(workerv1connect.NewWorkerServiceHandler(handler.New(handler.Worker{
		ID: w.owner.ID, Status: w.listeners.Status, Credentials: w.credentials, Sources: w.sources,
		SetDraining: w.owner.SetDraining, Deliveries: w.delivery, Hint: w.hints.Here, Retry: w.listeners.Retry,
		Right: w.right, Explain: w.listeners.Explain,
	}), options...))
	return identity.Middleware(mux)
}

// right is whether the worker may act, in the words of WorkerService.
func (w parts) right() workerv1.RightToAct {
	right, member := w.owner.Right()
	switch {
	case !member:
		return workerv1.RightToAct_RIGHT_TO_ACT_NONE
	case right == hold.Current:
		return workerv1.RightToAct_RIGHT_TO_ACT_CURRENT
	default:
		return workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT
	}
}

// member is this worker's way into the cluster.
func (s *Service) member(etcd *cluster.Client, registry *peers.Registry) owner.Cluster {
	return membership{etcd, registry, &clusterv1.Worker{
		Address:  s.cfg.Advertise,
		Backends: s.cfg.Backends,
		Capacity: s.cfg.Capacity,
		Zone:     s.cfg.Zone,
		Version:  s.rt.Version,
	}, s.cfg.Registered}
}

// membership implements [owner.Cluster].
type membership struct {
	etcd     *cluster.Client
	registry *peers.Registry
	worker   *clusterv1.Worker

	registered func(worker string, lease int64) // may be nil
}

// Join implements [owner.Cluster]. A worker that has never heard of its registry stays
// out: it could run nothing, and the shards it would be granted may be of users whom
// only the others' registry knows.
func (m membership) Join(ctx context.Context, draining bool) (owner.Member, error) {
	installation, err := m.registry.Installation(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.etcd.Belong(ctx, installation); err != nil {
		return nil, err
	}
	worker := proto.CloneOf(m.worker)
	worker.Draining = draining
	member, err := m.etcd.Join(ctx, worker)
	if err != nil {
		return nil, err
	}
	if m.registered != nil {
		m.registered(member.ID(), member.Lease())
	}
	return member, nil
}

// Relief implements [owner.Cluster].
func (m membership) Relief(ctx context.Context, id string) (bool, error) {
	snapshot, err := m.etcd.Snapshot(ctx)
	if err != nil || snapshot.Leader == "" {
		return false, err
	}
	return slices.ContainsFunc(snapshot.Entries, func(entry cluster.Entry) bool {
		able := func(backend string) bool { return slices.Contains(entry.Worker.GetBackends(), backend) }
		return entry.ID != id && entry.Worker != nil && !entry.Worker.GetDraining() && slices.ContainsFunc(m.worker.GetBackends(), able)
	}), nil
}

// Changes implements [owner.Cluster].
func (m membership) Changes(ctx context.Context, backend string) <-chan hold.Changed {
	return m.etcd.Changes(ctx, backend)
}

// sink hands on what listeners find: mail to delivery, refused credentials to the
// owner. It is filled in before any of them runs.
type sink struct {
	delivery *deliver.Loop
	owner    *owner.Owner
}

var _ listen.Sink = (*sink)(nil)

// Head implements [listen.Sink].
func (s *sink) Head(user mailbox.User, end mailbox.End, noticed time.Time) {
	s.delivery.Head(user, end, noticed)
}

// Told implements [listen.Sink].
func (s *sink) Told(user mailbox.User, end mailbox.End, mail mailbox.Mail, noticed time.Time) {
	s.delivery.Told(user, end, mail, noticed)
}

// Fetched implements [listen.Sink].
func (s *sink) Fetched(batch mailbox.Read) { s.delivery.Fetched(batch) }

// Suspended implements [listen.Sink].
func (s *sink) Suspended(user mailbox.User, version uint64, reason string) {
	s.owner.Suspended(user, version, reason)
}

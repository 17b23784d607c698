// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	"mailpush.internal/proto/gen/mailpush/scheduler/v1/schedulerv1connect"
	scheduler "mailpush.internal/services/scheduler"
)

const (
	shards   = 32
	patience = time.Minute
)

// fakeRegistry is admin-api as the scheduler needs it.
type fakeRegistry struct {
	registryv1connect.UnimplementedRegistryServiceHandler

	loads        atomic.Pointer[registryv1.ShardLoadsResponse] // nil: away
	installation atomic.Pointer[string]                        // nil: not yet to be learned
}

func (r *fakeRegistry) GetInstallation(context.Context, *connect.Request[registryv1.GetInstallationRequest]) (*connect.Response[registryv1.GetInstallationResponse], error) {
	if installation := r.installation.Load(); installation != nil {
		return connect.NewResponse(&registryv1.GetInstallationResponse{InstallationId: *installation}), nil
	}
	return nil, connect.NewError(connect.CodeUnavailable, errors.New("not yet"))
}

func (r *fakeRegistry) ShardLoads(context.Context, *connect.Request[registryv1.ShardLoadsRequest]) (*connect.Response[registryv1.ShardLoadsResponse], error) {
	if loads := r.loads.Load(); loads != nil {
		return connect.NewResponse(loads), nil
	}
	return nil, connect.NewError(connect.CodeUnavailable, errors.New("away"))
}

// bench is a cluster of this test's own, without schedulers at first.
type bench struct {
	config    cluster.Config
	authority *identity.Authority
	registry  *fakeRegistry
	addr      string // the registry's
	client    *cluster.Client
	log       *slog.Logger // the schedulers'
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, cluster.Config{Endpoints: endpoints})
}

// newBenchOn is newBench on an etcd of one's own.
func newBenchOn(t *testing.T, config cluster.Config) *bench {
	t.Helper()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		config:    config,
		authority: authority,
		registry:  new(fakeRegistry),
		log:       slog.New(slog.DiscardHandler),
	}
	b.config.Prefix, b.config.Shards, b.config.LeaseTTL = prefixOf(t), shards, cluster.MinLeaseTTL
	b.registry.loads.Store(&registryv1.ShardLoadsResponse{})
	b.registry.installation.Store(new("ours"))
	_, handler := registryv1connect.NewRegistryServiceHandler(b.registry)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = b.identity(t, identity.Admin).ServerTLS()
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	b.addr = server.Listener.Addr().String()
	b.client, err = cluster.Open(t.Context(), b.config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.client.Close() })
	return b
}

// prefixOf is where a test's cluster lives.
func prefixOf(t *testing.T) string {
	t.Helper()
	return "/" + strings.ReplaceAll(t.Name(), "/", "-")
}

func (b *bench) identity(t *testing.T, service string) *identity.Identity {
	t.Helper()
	id, err := b.authority.Issue(service)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// replica is a running scheduler.
type replica struct {
	*scheduler.Service

	addr    string
	metrics *prometheus.Registry
	stop    func()
}

func (b *bench) start(t *testing.T, name string) *replica {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	s, err := scheduler.New(
		scheduler.Config{Listener: l, Name: name, Cluster: b.config, RegistryAddrs: []string{b.addr}},
		service.Runtime{
			Log:      b.log,
			Metrics:  metrics,
			Identity: b.identity(t, identity.Scheduler),
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &replica{Service: s, addr: l.Addr().String(), metrics: metrics}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the scheduler ended with %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (b *bench) list(t *testing.T, r *replica, caller string) (*schedulerv1.ListWorkersResponse, error) {
	t.Helper()
	client := rpc.Client(b.identity(t, caller), identity.Scheduler, []string{r.addr})
	defer client.CloseIdleConnections()
	response, err := schedulerv1connect.NewSchedulerServiceClient(client, rpc.BaseURL).
		ListWorkers(t.Context(), connect.NewRequest(&schedulerv1.ListWorkersRequest{}))
	if err != nil {
		return nil, err
	}
	return response.Msg, nil
}

func (b *bench) placement(t *testing.T, r *replica, caller string) (*schedulerv1.GetPlacementResponse, error) {
	t.Helper()
	client := rpc.Client(b.identity(t, caller), identity.Scheduler, []string{r.addr})
	defer client.CloseIdleConnections()
	response, err := schedulerv1connect.NewSchedulerServiceClient(client, rpc.BaseURL).
		GetPlacement(t.Context(), connect.NewRequest(&schedulerv1.GetPlacementRequest{Backend: "imapidle", Shard: 3}))
	if err != nil {
		return nil, err
	}
	return response.Msg, nil
}

// fakeWorker does what it is told, at once, and remembers it all.
type fakeWorker struct {
	*cluster.Member

	stop    func()
	mu      sync.Mutex
	wants   int
	taken   int // shards given up in all
	running map[uint32]uint64
	moved   chan struct{} // poked after each report
}

func (b *bench) join(t *testing.T) *fakeWorker {
	t.Helper()
	member, err := b.client.Join(t.Context(), &clusterv1.Worker{Address: "127.0.0.1:1", Backends: []string{"imapidle"}, Capacity: 100})
	if err != nil {
		t.Fatal(err)
	}
	w := &fakeWorker{Member: member, running: make(map[uint32]uint64), moved: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for want := range w.Wants(ctx) {
			w.apply(ctx, t, want)
		}
	}()
	w.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(func() {
		w.stop()
		_ = w.Leave(context.WithoutCancel(t.Context()))
	})
	return w
}

func (w *fakeWorker) apply(ctx context.Context, t *testing.T, want *clusterv1.Want) {
	t.Helper()
	running := make(map[uint32]uint64)
	for _, set := range want.GetGranted() {
		for i, shard := range set.GetShards() {
			running[shard] = set.GetEpochs()[i]
		}
	}
	w.mu.Lock()
	for shard := range w.running {
		if running[shard] == 0 {
			w.taken++
		}
	}
	w.running = running
	w.wants++
	w.mu.Unlock()
	if err := w.Report(ctx, &clusterv1.Have{Generation: want.GetGeneration(), Held: want.GetGranted()}); err != nil && ctx.Err() == nil {
		t.Errorf("reporting: %v", err)
	}
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

func (w *fakeWorker) shards() []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.running))
}

func (w *fakeWorker) epochs() map[uint32]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.running)
}

// until waits until the worker runs so many shards.
func (w *fakeWorker) until(t *testing.T, n int) {
	t.Helper()
	late := time.After(patience)
	for len(w.shards()) != n {
		select {
		case <-w.moved:
		case <-late:
			t.Fatalf("the worker runs %d shards, want %d", len(w.shards()), n)
		}
	}
}

// leads waits until somebody leads, and returns who.
func (b *bench) leads(t *testing.T, but string) string {
	t.Helper()
	hints, late := b.client.Watch(t.Context()), time.After(patience)
	for {
		name, err := b.client.Leader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if name != "" && name != but {
			return name
		}
		select {
		case <-hints:
		case <-time.After(50 * time.Millisecond):
		case <-late:
			t.Fatal("nobody leads")
		}
	}
}

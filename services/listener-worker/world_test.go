// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/pushtest"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	worker "mailpush.internal/services/listener-worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shards   = 16
	quota    = 8 << 20     // of etcd: more than enough, and soon filled by those who want to
	patience = time.Minute // bounds each wait for something expected
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// background runs something until the test ends.
func background(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // it must outlive the test's own clean-up order
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("background: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// receive waits for a value.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// world is a cluster around one worker. The test is its scheduler.
type world struct {
	t         *testing.T
	authority *identity.Authority
	etcdDir   string
	etcd      *embedded.Server
	config    cluster.Config
	cluster   *cluster.Client
	registry  *fakeRegistry
	imap      *imaptest.Server
	hook      *receiver
	registryA string
	vaultA    string
	log       io.Writer            // of workers that start from now on
	metrics   *prometheus.Registry // of the worker that started last
	alone     bool                 // whether workers take their process for their own
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, etcdDir: t.TempDir(), registry: newFakeRegistry(), log: t.Output()}
	var err error
	if w.authority, err = identity.OpenAuthority(t.TempDir(), "test"); err != nil {
		t.Fatal(err)
	}
	w.startEtcd()
	t.Cleanup(func() { w.etcd.Close() })
	w.config = cluster.Config{Endpoints: w.etcd.Endpoints(), Shards: shards, LeaseTTL: cluster.MinLeaseTTL}
	if w.cluster, err = cluster.Open(t.Context(), w.config, discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cluster.Close() })
	if w.imap, err = imaptest.NewServer(imaptest.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.imap.Close() })
	w.registry.stores = []*mailv1.MailStore{{
		Name: "main", Address: w.imap.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_IMPLICIT, CaPem: w.imap.CA(), Backend: "imapidle",
	}}
	w.registryA = serveRPC(t, w.authority, identity.Admin, func(options ...connect.HandlerOption) (string, http.Handler) {
		return registryv1connect.NewRegistryServiceHandler(w.registry, options...)
	})
	w.vaultA = serveRPC(t, w.authority, identity.Vault, func(options ...connect.HandlerOption) (string, http.Handler) {
		return vaultv1connect.NewVaultServiceHandler(fakeVault{}, options...)
	})
	w.hook = newReceiver(t)
	return w
}

func (w *world) startEtcd() {
	w.t.Helper()
	var err error
	if w.etcd, err = embedded.Start(w.t.Context(), embedded.Config{Dir: w.etcdDir, QuotaBytes: quota}); err != nil {
		w.t.Fatal(err)
	}
}

// startWorker starts a worker and returns where it serves.
func (w *world) startWorker(changes ...func(*worker.Config)) (address string, stop func()) {
	w.t.Helper()
	id, err := w.authority.Issue(identity.Worker)
	if err != nil {
		w.t.Fatal(err)
	}
	listener := listenTCP(w.t)
	w.metrics = prometheus.NewRegistry()
	config := worker.Config{
		Listener: listener, Cluster: w.config, RegistryAddrs: []string{w.registryA}, VaultAddrs: []string{w.vaultA},
		Capacity: 100, Instance: "test", Alone: w.alone, AllowHTTPWebhooks: true, AllowPrivateWebhooks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	for _, change := range changes {
		change(&config)
	}
	s, err := worker.New(config, service.Runtime{Log: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: w.metrics, Identity: id, Version: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return listener.Addr().String(), background(w.t, s.Run)
}

// admin is WorkerService as admin-api calls it.
func (w *world) admin(address string) workerv1connect.WorkerServiceClient {
	w.t.Helper()
	id, err := w.authority.Issue(identity.Admin)
	if err != nil {
		w.t.Fatal(err)
	}
	return workerClient(w.t, id, address)
}

func workerClient(t *testing.T, id *identity.Identity, address string) workerv1connect.WorkerServiceClient {
	t.Helper()
	client := rpc.Client(id, identity.Worker, []string{address})
	t.Cleanup(client.CloseIdleConnections)
	return workerv1connect.NewWorkerServiceClient(client, rpc.BaseURL)
}

// until waits until the cluster looks as wanted.
func (w *world) until(what string, fits func(*cluster.Snapshot) bool) *cluster.Snapshot {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for range w.cluster.Watch(ctx) {
		if snapshot, err := w.cluster.Snapshot(ctx); err == nil && fits(snapshot) {
			return snapshot
		}
	}
	w.t.Fatalf("the cluster never had %s", what)
	return nil
}

// joined waits for a live worker that is not one of the given ones.
func (w *world) joined(not ...string) string {
	w.t.Helper()
	id := ""
	w.until("a worker", func(snapshot *cluster.Snapshot) bool {
		for _, entry := range snapshot.Entries {
			if entry.Worker != nil && (len(not) == 0 || entry.ID != not[0]) {
				id = entry.ID
				return true
			}
		}
		return false
	})
	return id
}

// plan has the worker run the given shards, or revokes what it was granted.
func (w *world) plan(id string, generation uint64, epoch uint64, granted ...uint32) {
	w.t.Helper()
	term, err := w.cluster.Campaign(w.t.Context(), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = term.Resign(context.WithoutCancel(w.t.Context())) }()
	snapshot, err := w.cluster.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	set := &mailv1.ShardSet{Backend: w.registry.stores[0].GetBackend(), Shards: granted}
	for range granted {
		set.Epochs = append(set.Epochs, epoch)
	}
	want := &clusterv1.Want{Format: 1, Generation: generation, Granted: []*mailv1.ShardSet{set}}
	if err := term.Apply(w.t.Context(), snapshot, cluster.Update{Put: map[string]*clusterv1.Want{id: want}}); err != nil {
		w.t.Fatal(err)
	}
}

// reported waits for the worker's report on a generation and counts the shards in it.
func (w *world) reported(id string, generation uint64) int {
	w.t.Helper()
	held := 0
	w.until(fmt.Sprintf("a report on generation %d", generation), func(snapshot *cluster.Snapshot) bool {
		for _, entry := range snapshot.Entries {
			if entry.ID == id && entry.Have.GetGeneration() == generation {
				held = 0
				for _, set := range entry.Have.GetHeld() {
					held += len(set.GetShards())
				}
				return true
			}
		}
		return false
	})
	return held
}

// user adds a mail account.
func (w *world) user(id string) *mailv1.User {
	w.t.Helper()
	if err := w.imap.AddUser(id, password); err != nil {
		w.t.Fatal(err)
	}
	return &mailv1.User{ContextId: "1", UserId: id}
}

// mail delivers a mail.
func (w *world) mail(user *mailv1.User, subject string) uint32 {
	w.t.Helper()
	uid, err := w.imap.Deliver(user.GetUserId(), []byte("From: Anna <anna@example.org>\r\nSubject: "+subject+"\r\n\r\nhello\r\n"))
	if err != nil {
		w.t.Fatal(err)
	}
	return uid
}

// subscription is one whose cursor is where the mailbox ends, as Subscribe leaves it.
func (w *world) subscription(address, id string, user *mailv1.User) *registryv1.Subscription {
	w.t.Helper()
	baseline, err := w.admin(address).GetBaseline(w.t.Context(), connect.NewRequest(&workerBaseline{User: user, Store: w.registry.stores[0]}))
	if err != nil {
		w.t.Fatal(err)
	}
	return &registryv1.Subscription{
		Id: id, Target: webhookAt(w.hook.url), SecretVersion: 1, Confirmed: true, Cursors: baseline.Msg.GetCursors(),
	}
}

// receiver is a webhook endpoint that checks signatures.
type receiver struct {
	url  string
	got  chan received
	mu   sync.Mutex
	fail int                 // how many requests to answer with 500
	busy func(received) bool // tells which requests to answer with 503; nil means none
	hold chan struct{}       // when not nil, requests wait until it is closed
}

type received struct {
	id      string
	keys    int // how many signatures it carries
	refused bool
	body    *pushtest.Push
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	server := pushtest.Start(t)
	r := &receiver{url: server.URL(), got: make(chan received, 256)}
	server.AnswerWith(func(w http.ResponseWriter, _ *http.Request, body *pushtest.Push) {
		if err := errors.Join(body.Err, body.Verify(signingKey)); err != nil {
			t.Error(err)
		}
		push := received{id: body.ID(), keys: body.Signatures(), body: body}
		r.mu.Lock()
		hold := r.hold
		switch {
		case r.fail > 0:
			r.fail--
			push.refused = true
			w.WriteHeader(http.StatusInternalServerError)
		case r.busy != nil && r.busy(push):
			push.refused = true
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		r.mu.Unlock()
		r.got <- push
		if hold != nil {
			<-hold
		}
	})
	return r
}

// holdAll lets requests wait until the returned func is called.
func (r *receiver) holdAll() (letGo func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = make(chan struct{})
	return sync.OnceFunc(func() { close(r.hold) })
}

func (r *receiver) failNext(count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = count
}

// busyFor has those requests answered with 503.
func (r *receiver) busyFor(busy func(received) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = busy
}

func everything(received) bool { return true }

// subject tells which requests speak of a mail.
func subject(of string) func(received) bool {
	return func(push received) bool {
		for _, event := range push.body.Data.Events {
			if event.Subject == of {
				return true
			}
		}
		return false
	}
}

// webhookAt is a target as the registry names it.
func webhookAt(url string) *mailv1.Target {
	return &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}}
}

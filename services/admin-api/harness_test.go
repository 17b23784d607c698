// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	"mailpush.internal/proto/gen/mailpush/scheduler/v1/schedulerv1connect"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

const shards = 4

// fakeVault is a vault service in memory.
type fakeVault struct {
	vaultv1connect.UnimplementedVaultServiceHandler
	mu      sync.Mutex
	sealed  map[string]sealed // by user and account
	version uint64
	early   bool // it is of the release before, which knows no GetVersion
}

type sealed struct {
	version uint64
	master  string // the login, for the master user
	headers *vaultv1.Headers
}

func (f *fakeVault) Seal(_ context.Context, r *connect.Request[vaultv1.SealRequest]) (*connect.Response[vaultv1.SealResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = max(f.version, r.Msg.GetAbove()) + 1
	f.sealed[r.Msg.GetUser().GetUserId()+" "+r.Msg.GetAccount()] = sealed{
		f.version, r.Msg.GetCredential().GetMaster().GetLogin(), r.Msg.GetCredential().GetHeaders(),
	}
	return connect.NewResponse(&vaultv1.SealResponse{Version: f.version}), nil
}

// SealMany seals what the release before does not know how to.
func (f *fakeVault) SealMany(ctx context.Context, r *connect.Request[vaultv1.SealManyRequest]) (*connect.Response[vaultv1.SealManyResponse], error) {
	if f.early {
		return f.UnimplementedVaultServiceHandler.SealMany(ctx, r)
	}
	res := &vaultv1.SealManyResponse{}
	for _, one := range r.Msg.GetSeals() {
		sealed, err := f.Seal(ctx, connect.NewRequest(one))
		if err != nil {
			return nil, err
		}
		res.Versions = append(res.Versions, sealed.Msg.GetVersion())
	}
	return connect.NewResponse(res), nil
}

func (f *fakeVault) GetVersion(_ context.Context, r *connect.Request[vaultv1.GetVersionRequest]) (*connect.Response[vaultv1.GetVersionResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.early {
		return f.UnimplementedVaultServiceHandler.GetVersion(context.Background(), r)
	}
	version := f.sealed[r.Msg.GetUser().GetUserId()+" "+r.Msg.GetAccount()].version
	return connect.NewResponse(&vaultv1.GetVersionResponse{Version: version}), nil
}

// headers is what the vault has of headers in a slot, as text.
func (f *fakeVault) headers(user, id string, slot uint32) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sealed := f.sealed[fmt.Sprintf("%s headers/%s/%d", user, id, slot)].headers
	text := sealed.GetOrigin()
	for _, h := range sealed.GetHeaders() {
		text += " " + h.GetName() + "=" + h.GetValue()
	}
	return text
}

func (f *fakeVault) Delete(_ context.Context, r *connect.Request[vaultv1.DeleteRequest]) (*connect.Response[vaultv1.DeleteResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sealed, r.Msg.GetUser().GetUserId()+" "+r.Msg.GetAccount())
	return connect.NewResponse(&vaultv1.DeleteResponse{}), nil
}

func (f *fakeVault) accounts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sealed)
}

// master is the login that was sealed last for the master user; empty when there is none.
func (f *fakeVault) master(user string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var last sealed
	for account, s := range f.sealed {
		if strings.HasPrefix(account, user+" mail") && s.version > last.version {
			last = s
		}
	}
	return last.master
}

// versionOf is what the vault has in a slot of a user's account, 0 for nothing.
func (f *fakeVault) versionOf(user, account string, slot uint32) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slot != 0 {
		account = fmt.Sprintf("%s/%d", account, slot)
	}
	return f.sealed[user+" "+account].version
}

// fakeWorker is one worker that runs whatever it is asked about.
type fakeWorker struct {
	workerv1connect.UnimplementedWorkerServiceHandler
	vault      *fakeVault
	mu         sync.Mutex
	baseline   error
	draining   bool
	deliveries []*workerv1.Delivery
	heard      []string // the ids of calls for a baseline
	early      bool     // it is of the release before, which knows no GetBaselines
}

func (f *fakeWorker) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard
}

func (f *fakeWorker) set(baseline error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.baseline = baseline
}

func (f *fakeWorker) delivers(list ...*workerv1.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deliveries = list
}

func (f *fakeWorker) GetBaseline(_ context.Context, r *connect.Request[workerv1.GetBaselineRequest]) (*connect.Response[workerv1.GetBaselineResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, r.Header().Get(rpc.RequestIDHeader))
	if f.baseline != nil {
		return nil, f.baseline
	}
	return connect.NewResponse(&workerv1.GetBaselineResponse{
		Cursors:           []*mailv1.Cursor{{Folder: "INBOX", UidValidity: 7, Uid: 100}},
		CredentialVersion: f.vault.versionOf(r.Msg.GetUser().GetUserId(), "mail", r.Msg.GetCredentialSlot()),
	}), nil
}

// GetBaselines answers for each what GetBaseline does.
func (f *fakeWorker) GetBaselines(ctx context.Context, r *connect.Request[workerv1.GetBaselinesRequest]) (*connect.Response[workerv1.GetBaselinesResponse], error) {
	if f.early {
		return f.UnimplementedWorkerServiceHandler.GetBaselines(ctx, r)
	}
	res := &workerv1.GetBaselinesResponse{}
	for _, box := range r.Msg.GetMailboxes() {
		one := &workerv1.MailboxBaseline{}
		answer, err := f.GetBaseline(ctx, connect.NewRequest(&workerv1.GetBaselineRequest{
			User: box.GetUser(), Store: r.Msg.GetStore(), CredentialSlot: box.GetCredentialSlot(), Login: box.GetLogin(),
		}))
		if err != nil {
			one.Code, one.Message = rpc.InAnswer(err)
		} else {
			one.Baseline = answer.Msg
		}
		res.Baselines = append(res.Baselines, one)
	}
	return connect.NewResponse(res), nil
}

func (*fakeWorker) GetListeners(_ context.Context, r *connect.Request[workerv1.GetListenersRequest]) (*connect.Response[workerv1.GetListenersResponse], error) {
	res := &workerv1.GetListenersResponse{Worker: "w1"}
	for _, u := range r.Msg.GetUsers() {
		res.Listeners = append(res.Listeners, &workerv1.Listener{
			User: u, Permanent: true, Backend: "imapidle", State: mailv1.ListenerState_LISTENER_STATE_IDLE,
		})
	}
	return connect.NewResponse(res), nil
}

// GetDeliveries says what the test has it say.
func (f *fakeWorker) GetDeliveries(_ context.Context, _ *connect.Request[workerv1.GetDeliveriesRequest]) (*connect.Response[workerv1.GetDeliveriesResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return connect.NewResponse(&workerv1.GetDeliveriesResponse{Worker: "w1", Deliveries: f.deliveries}), nil
}

// ExplainUser says that all is well.
func (*fakeWorker) ExplainUser(context.Context, *connect.Request[workerv1.ExplainUserRequest]) (*connect.Response[workerv1.ExplainUserResponse], error) {
	return connect.NewResponse(&workerv1.ExplainUserResponse{
		Worker: "w1", Right: workerv1.RightToAct_RIGHT_TO_ACT_CURRENT,
		Listener: &workerv1.ExplainedListener{Listener: &workerv1.Listener{State: mailv1.ListenerState_LISTENER_STATE_CONNECTING}},
	}), nil
}

// SendTest answers what it was asked.
func (*fakeWorker) SendTest(_ context.Context, r *connect.Request[workerv1.SendTestRequest]) (*connect.Response[workerv1.SendTestResponse], error) {
	url := r.Msg.GetTarget().GetWebhook().GetUrl()
	if url != r.Msg.GetWebhookUrl() { //nolint:staticcheck // what a worker of the release before reads
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("two targets"))
	}
	detail := fmt.Sprintf("%s of %s slot %d before %d headers %v, both %v", url, r.Msg.GetUser().GetUserId(), r.Msg.GetSecretSlot(),
		r.Msg.GetPreviousSecretSlot(), r.Msg.GetHeaderSlot() != 0, r.Msg.GetPreviousSecretUntil() != nil)
	return connect.NewResponse(&workerv1.SendTestResponse{Accepted: true, Result: "ok", Detail: detail}), nil
}

// SetDraining drains nobody but w1.
func (f *fakeWorker) SetDraining(_ context.Context, r *connect.Request[workerv1.SetDrainingRequest]) (*connect.Response[workerv1.SetDrainingResponse], error) {
	if r.Msg.GetWorker() != "w1" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("not w1"))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = r.Msg.GetDraining()
	return connect.NewResponse(&workerv1.SetDrainingResponse{}), nil
}

func (f *fakeWorker) drains() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draining
}

// fakeScheduler knows the one worker, which holds all shards.
type fakeScheduler struct {
	schedulerv1connect.UnimplementedSchedulerServiceHandler
	address string
	worker  *fakeWorker
}

func (f *fakeScheduler) ListWorkers(context.Context, *connect.Request[schedulerv1.ListWorkersRequest]) (*connect.Response[schedulerv1.ListWorkersResponse], error) {
	return connect.NewResponse(&schedulerv1.ListWorkersResponse{Leader: "s1", Shards: shards, Workers: []*schedulerv1.Worker{{
		Id: "w1", Address: f.address, Backends: []string{"imapidle", "other"}, Capacity: 100, Version: "v", Draining: f.worker.drains(),
		Held: []*mailv1.ShardSet{{Backend: "imapidle", Shards: []uint32{0, 1, 2, 3}, Epochs: []uint64{5, 5, 5, 5}}},
	}}}), nil
}

// world is admin-api between fake services, on SQLite and an etcd of its own.
type world struct {
	t         *testing.T
	url       string // of the public API
	internal  string // address of RegistryService
	authority *identity.Authority
	vault     *fakeVault
	worker    *fakeWorker
	cluster   *cluster.Client
	database  string
	log       *syncBuffer
	metrics   *prometheus.Registry
	config    Config
	service   *Service
}

// newWorld is a world whose admin-api is ready.
func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := launchWorld(t, change)
	w.awaitReady()
	return w
}

func (w *world) awaitReady() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := proctest.Await(ctx, "readiness", w.service.Ready); err != nil {
		w.t.Fatalf("%v\n%s", err, w.log)
	}
}

// launchWorld is a world whose admin-api has only begun to start.
func launchWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	check(t, err)
	etcd, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir()})
	check(t, err)
	t.Cleanup(etcd.Close)
	w := &world{
		t: t, authority: authority, log: new(syncBuffer),
		vault: &fakeVault{sealed: make(map[string]sealed)}, metrics: prometheus.NewRegistry(),
		database: filepath.Join(t.TempDir(), "registry.db"),
	}
	w.worker = &fakeWorker{vault: w.vault}
	inCluster := cluster.Config{Endpoints: etcd.Endpoints(), Prefix: "/test", Shards: shards}
	w.cluster, err = cluster.Open(t.Context(), inCluster, slog.New(slog.DiscardHandler))
	check(t, err)
	t.Cleanup(func() { check(t, w.cluster.Close()) })

	worker := w.serve(identity.Worker, func() (string, http.Handler) { return workerv1connect.NewWorkerServiceHandler(w.worker) })
	public, internal := listen(t), listen(t)
	w.url, w.internal = "http://"+public.Addr().String(), internal.Addr().String()
	c := Config{
		Public: public, Internal: internal, Database: secret.New("sqlite://" + w.database), Cluster: inCluster,
		VaultAddrs: []string{w.serve(identity.Vault, func() (string, http.Handler) { return vaultv1connect.NewVaultServiceHandler(w.vault) })},
		SchedulerAddrs: []string{w.serve(identity.Scheduler, func() (string, http.Handler) {
			return schedulerv1connect.NewSchedulerServiceHandler(&fakeScheduler{address: worker, worker: w.worker})
		})},
		AllowPermanentPush: true, CredStorage: true, PermanentBackends: map[string]bool{"imapidle": true},
		Stores:         []*mailv1.MailStore{{Name: "demo", Address: "127.0.0.1:143", Backend: "imapidle"}},
		Admins:         []Admin{{Name: "root", PasswordHash: HashPassword(secret.New("right"))}},
		Applications:   []Application{{Name: "app", TokenHash: HashToken(secret.New("token")), Contexts: []string{"1"}}},
		AllowedOrigins: []string{"https://console.example"},
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c, service.Runtime{
		Log: slog.New(rpc.LogRequestIDs(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))), Metrics: w.metrics, Identity: w.identity(identity.Admin), Version: "test",
	})
	check(t, err)
	w.config, w.service = c, s
	w.run(s.Run)
	return w
}

// syncBuffer can be read while the service writes to it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// counted sums a counter over its labels.
func (w *world) counted(name string) (sum float64) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	check(w.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// run runs a server for as long as the test runs.
func (w *world) run(fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Error(err)
		}
	})
}

func (w *world) identity(name string) *identity.Identity {
	w.t.Helper()
	id, err := w.authority.Issue(name)
	check(w.t, err)
	return id
}

func (w *world) serve(name string, handler func() (string, http.Handler)) (address string) {
	w.t.Helper()
	l, id := listen(w.t), w.identity(name)
	mux := http.NewServeMux()
	mux.Handle(handler())
	w.run(func(ctx context.Context) error {
		return service.Serve(ctx, slog.New(slog.DiscardHandler), name, l, id.ServerTLS(), mux)
	})
	return l.Addr().String()
}

// registry is RegistryService as the named service sees it.
func (w *world) registry(as string) registryv1connect.RegistryServiceClient {
	w.t.Helper()
	c := rpc.Client(w.identity(as), identity.Admin, []string{w.internal})
	w.t.Cleanup(c.CloseIdleConnections)
	return registryv1connect.NewRegistryServiceClient(c, rpc.BaseURL)
}

const (
	asAdmin  = "Basic cm9vdDpyaWdodA=="
	asApp    = "Bearer token"
	pushPath = "/mailpush.push.v1.PushService/"
	adminURL = "/mailpush.admin.v1.AdminService/"
)

// reply is what came back over plain HTTP.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// post sends JSON as a browser or curl would.
func (w *world) post(authorization, path, body string) reply {
	w.t.Helper()
	return w.send(http.MethodPost, path, body, map[string]string{"Authorization": authorization, "Content-Type": "application/json"})
}

func (w *world) send(method, path, body string, header map[string]string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader([]byte(body)))
	check(w.t, err)
	for k, v := range header {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	res, err := http.DefaultClient.Do(req)
	check(w.t, err)
	defer func() { check(w.t, res.Body.Close()) }()
	raw, err := io.ReadAll(res.Body)
	check(w.t, err)
	r := reply{status: res.StatusCode, header: res.Header, text: string(raw)}
	if err := json.Unmarshal(raw, &r.body); err != nil && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		w.t.Errorf("%s answered %q", path, raw)
	}
	return r
}

// at finds a value in a JSON body by member names and list indexes; nil when it is
// not there.
func (r reply) at(path ...any) any {
	var v any = r.body
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if v = nil; step < len(l) {
				v = l[step]
			}
		}
	}
	return v
}

// str is at for strings; empty when there is none.
func (r reply) str(path ...any) string {
	s, _ := r.at(path...).(string)
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	return l
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bare is a configuration that New looks at, and a runtime for it.
func bare(address net.Addr, config *tls.Config) (Config, service.Runtime) {
	return Config{Public: fakeListener{address}, PublicTLS: config}, service.Runtime{Metrics: prometheus.NewRegistry()}
}

type fakeListener struct{ addr net.Addr }

func (fakeListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (fakeListener) Close() error              { return nil }
func (l fakeListener) Addr() net.Addr          { return l.addr }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/owner"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	// bytesPerIdleMailbox is what owner, listeners and delivery may hold together for one
	// mailbox with a subscription, its connection left out: what was measured and 15 %.
	bytesPerIdleMailbox = 1850
	fewMailboxes        = 500
	manyMailboxes       = 2500
)

// An idle mailbox is some hundred bytes in each hall: whoever adds a field to what there
// is one of for every mailbox sees it here. No other test may run meanwhile: the heap is
// everybody's. HEAP_PROFILE names a file that gets a profile of what is held.
func TestMemoryOfAnIdleMailboxIsBounded(t *testing.T) { //nolint:paralleltest // it measures the heap
	if name := os.Getenv("HEAP_PROFILE"); name != "" {
		runtime.MemProfileRate = 64
		defer writeProfile(t, name)
	}
	h := newIdleHalls(t)
	h.list(fewMailboxes)
	before := liveHeap()
	h.list(manyMailboxes)
	each := float64(liveHeap()-before) / (manyMailboxes - fewMailboxes)
	t.Logf("%.0f bytes for each idle mailbox", each)
	if each > bytesPerIdleMailbox {
		t.Errorf("an idle mailbox takes %.0f bytes, want %d at most", each, bytesPerIdleMailbox)
	}
	runtime.KeepAlive(h)
}

// The metrics of the heap are there, and the collector's target is another, only where the
// process is the worker's own.
func TestAWorkerKeepsTheHeapOfItsOwnProcess(t *testing.T) { //nolint:paralleltest // the collector is everybody's
	t.Setenv("GOGC", "")
	w := newWorld(t)
	for _, w.alone = range []bool{false, true} {
		_, stop := w.startWorker()
		w.joined()
		families, err := w.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(families, func(family *dto.MetricFamily) bool {
			return family.GetName() == "mailpush_worker_gc_percent" && family.GetMetric()[0].GetGauge().GetValue() > 0
		})
		if found != w.alone {
			t.Errorf("alone: %v, the heap is kept: %v", w.alone, found)
		}
		stop()
	}
}

func liveHeap() uint64 {
	for range 3 { // pools are emptied by the second
		runtime.GC()
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

func writeProfile(t *testing.T, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err == nil {
		err = pprof.Lookup("heap").WriteTo(file, 0)
	}
	if err != nil {
		t.Error(err)
	}
	_ = file.Close()
}

// idleHalls are owner, listeners and delivery with nothing around them: connections cost
// nothing, and endpoints want pushes that never come.
type idleHalls struct {
	t       *testing.T
	wants   chan *clusterv1.Want
	changes chan hold.Changed
	idle    atomic.Int64 // connections in IDLE
	opened  atomic.Int64 // signing secrets

	mu    sync.Mutex
	users int
}

func newIdleHalls(t *testing.T) *idleHalls {
	t.Helper()
	h := &idleHalls{t: t, wants: make(chan *clusterv1.Want, 1), changes: make(chan hold.Changed)}
	found := &idleSink{}
	listeners := listen.New(listen.Config{
		Sources: map[string]listen.Source{"imapidle": h}, Tuning: machine.Settings{Settle: time.Millisecond},
	}, h, found)
	found.delivery = deliver.New(deliver.Config{}, transport.Table{transport.Webhook: h}, h, h, listeners)
	o := owner.New(owner.Config{Backends: []string{"imapidle"}, Shards: shards}, h, h, listeners, found.delivery)
	background(t, found.delivery.Run)
	background(t, listeners.Run)
	background(t, o.Run)
	set := &mailv1.ShardSet{Backend: "imapidle"}
	for number := range uint32(shards) {
		set.Shards, set.Epochs = append(set.Shards, number), append(set.Epochs, 1)
	}
	h.wants <- &clusterv1.Want{Generation: 1, Granted: []*mailv1.ShardSet{set}}
	return h
}

// list has the registry list users up to a number, and waits until all are in IDLE.
func (h *idleHalls) list(upto int) {
	h.t.Helper()
	h.mu.Lock()
	h.users = upto
	h.mu.Unlock()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for number, end := uint32(0), time.Now().Add(patience); ; number++ {
		if h.idle.Load() == 2*int64(upto) && h.opened.Load() == int64(upto) { // once, and once it has settled
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%d of %d are in IDLE, %d secrets are open", h.idle.Load(), upto, h.opened.Load())
		}
		if number < shards {
			h.changes <- hold.Changed{Shard: shard.ID{Backend: "imapidle", Number: number}}
		}
		<-tick.C
	}
}

// user is a mailbox as the registry lists it.
func (h *idleHalls) user(n int) *registryv1.Mailbox {
	url := fmt.Sprintf("https://push.example.org/v1/mailpush/hook-%06d", n)
	return &registryv1.Mailbox{
		User: &mailv1.User{ContextId: "1", UserId: fmt.Sprint(n)}, MailStore: "main", Permanent: true, CredentialVersion: 3, CredentialSlot: 1,
		Subscriptions: []*registryv1.Subscription{{
			Id: fmt.Sprintf("sub_gzaub6oy4dbe5a7hjnak%06d", n), ClientId: "open-xchange-mobile-api-facade",
			Target:     &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}},
			WebhookUrl: url, SecretVersion: 1, Confirmed: true, Mode: mailv1.Mode_MODE_BATCH,
			Cursors: []*mailv1.Cursor{{Folder: "INBOX", UidValidity: 7, Uid: 10}},
		}},
	}
}

// What follows is the cluster of owner.Cluster and its member.

func (h *idleHalls) Join(context.Context, bool) (owner.Member, error) { return h, nil }
func (h *idleHalls) Relief(context.Context, string) (bool, error)     { return false, nil }
func (h *idleHalls) Changes(ctx context.Context, _ string) <-chan hold.Changed {
	return until(ctx, h.changes)
}
func (h *idleHalls) ID() string                                                    { return "worker" }
func (h *idleHalls) Right() hold.Right                                             { return hold.Current }
func (h *idleHalls) RightChanged() <-chan struct{}                                 { return nil }
func (h *idleHalls) Until() time.Time                                              { return time.Now().Add(time.Hour) }
func (h *idleHalls) Lost() <-chan struct{}                                         { return nil }
func (h *idleHalls) Wants(context.Context) <-chan *clusterv1.Want                  { return h.wants }
func (h *idleHalls) Report(context.Context, *clusterv1.Have) error                 { return nil }
func (h *idleHalls) Drain(context.Context, bool) error                             { return nil }
func (h *idleHalls) Leave(context.Context) error                                   { return nil }
func (h *idleHalls) OpenEpoch(context.Context, []hold.Claim) ([]hold.Claim, error) { return nil, nil }

// until passes on what comes until ctx ends.
func until[T any](ctx context.Context, from <-chan T) <-chan T {
	out := make(chan T)
	go func() {
		defer close(out)
		for {
			select {
			case value := <-from:
				out <- value
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// ListShards implements [owner.Registry]. What it lists has come over the wire.
func (h *idleHalls) ListShards(_ context.Context, claims []hold.Claim, _ []userid.User) (owner.Listing, error) {
	h.mu.Lock()
	users := h.users
	h.mu.Unlock()
	asked := make(map[uint32]bool)
	for _, claim := range claims {
		asked[claim.Shard] = true
	}
	page := &registryv1.ListShardResponse{Stores: []*mailv1.MailStore{{Name: "main", Backend: "imapidle"}}}
	for n := range users {
		if box := h.user(n); asked[shard.Of(box.GetUser().GetContextId(), box.GetUser().GetUserId(), shards)] {
			page.Mailboxes = append(page.Mailboxes, box)
		}
	}
	wire, err := proto.Marshal(page)
	if err != nil {
		return owner.Listing{}, err
	}
	page = new(registryv1.ListShardResponse)
	if err := proto.Unmarshal(wire, page); err != nil {
		return owner.Listing{}, err
	}
	return owner.Listing{Mailboxes: page.GetMailboxes(), Stores: map[string]*mailv1.MailStore{"main": page.GetStores()[0]}}, nil
}

func (*idleHalls) Policy(context.Context) (string, error) { return "", nil }

func (h *idleHalls) SuspendCredential(context.Context, hold.Claim, mailbox.User, uint64, string) error {
	return nil
}

func (h *idleHalls) CommitCursors(context.Context, map[hold.Claim][]deliver.Served) ([]hold.Claim, error) {
	return nil, nil
}

func (h *idleHalls) ReportEndpoints(context.Context, []deliver.EndpointReport) ([]deliver.Verdict, error) {
	return nil, nil
}

// Login implements [listen.Credentials].
func (h *idleHalls) Login(context.Context, mailbox.User, uint32) (mailbox.Login, error) {
	return mailbox.Login{Username: "u", Password: secret.New("p"), Version: 3}, nil
}

// SigningSecret implements [deliver.Secrets].
func (h *idleHalls) SigningSecret(context.Context, mailbox.User, string, uint32) (secret.String, error) {
	h.opened.Add(1)
	return secret.New("whsec_" + fmt.Sprintf("%044d", h.opened.Load())), nil
}

// Headers implements [deliver.Secrets].
func (h *idleHalls) Headers(context.Context, mailbox.User, string, uint32) (*transport.Headers, error) {
	return new(transport.Headers), nil
}

// Open implements [listen.Source].
func (h *idleHalls) Open(ctx context.Context, _ mailbox.Listening, login listen.LoginFunc, notify listen.Notify) (listen.Reader, listen.Opening, error) {
	used, err := login(ctx)
	return &idleLink{halls: h, notify: notify}, listen.Opening{End: idleEnd(), Waits: machine.ByIdle, Version: used.Version}, err
}

func (h *idleHalls) Baseline(context.Context, *mailv1.MailStore, mailbox.Login) (mailbox.End, error) {
	return idleEnd(), nil
}

// Send, Origin, Asks and Signs implement [transport.Transport].
func (h *idleHalls) Send(context.Context, transport.Push) transport.Result {
	h.t.Error("a push of an idle mailbox")
	return transport.Result{}
}
func (h *idleHalls) Origin(transport.Target) string { return "https://push.example.org" }
func (h *idleHalls) Asks() bool                     { return true }
func (h *idleHalls) Signs() bool                    { return true }

func idleEnd() mailbox.End {
	return mailbox.End{Folder: mailbox.Inbox, UIDValidity: 7, UIDNext: 11}
}

// idleLink is a connection that costs nothing.
type idleLink struct {
	halls  *idleHalls
	notify listen.Notify
}

func (l *idleLink) Idle() error {
	l.halls.idle.Add(1)
	return nil
}
func (l *idleLink) Close() {}
func (l *idleLink) Check(mailbox.Look) (mailbox.Checkup, error) {
	return mailbox.Checkup{End: idleEnd()}, nil
}
func (l *idleLink) Fetch(want mailbox.Range) (mailbox.Reading, error) {
	return mailbox.Reading{Upto: want.Upto}, nil
}

// idleSink hands what is found to delivery.
type idleSink struct{ delivery *deliver.Loop }

func (s *idleSink) Head(user mailbox.User, end mailbox.End, noticed time.Time) {
	s.delivery.Head(user, end, noticed)
}
func (s *idleSink) Told(user mailbox.User, end mailbox.End, mail mailbox.Mail, noticed time.Time) {
	s.delivery.Told(user, end, mail, noticed)
}
func (s *idleSink) Fetched(batch mailbox.Read)             { s.delivery.Fetched(batch) }
func (s *idleSink) Suspended(mailbox.User, uint64, string) {}

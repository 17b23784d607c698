// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
)

// The lease lives on, the leader takes the worker for gone, and the watch over the key
// was not there to see it.
func TestRegistrationThatWentUnseenIsOver(t *testing.T) {
	t.Parallel()
	b := behindGate(t)
	member := join(t, b.cut)
	b.keepAlive(t, member)
	b.gate.shut(true)
	hinted(t, member, "the doubt", func() bool { return member.Right() == hold.InDoubt })
	if err := b.root.Delete(t.Context(), b.config.Prefix+"/worker/"+member.ID()); err != nil {
		t.Fatal(err)
	}
	b.compact(t)
	b.gate.shut(false)
	ended(t, member.Lost(), "the registration whose key is gone")
}

// What the watches have missed and can be told by nobody any more, the listings bring.
func TestCompactionHidesNothing(t *testing.T) {
	t.Parallel()
	b := behindGate(t)
	member, term := join(t, b.cut), campaign(t, b.direct, "leader")
	b.keepAlive(t, member)
	wants, hints, changes := member.Wants(t.Context()), b.cut.Watch(t.Context()), b.cut.Changes(t.Context(), "imapidle")
	receive(t, hints, "first hint")
	if err := term.Apply(t.Context(), snapshot(t, b.direct), put(member.ID(), 1)); err != nil {
		t.Fatal(err)
	}
	receive(t, wants, "first want") // so all watches but those for others stand
	b.gate.shut(true)
	for len(hints) > 0 {
		<-hints
	}
	report(t, join(t, b.direct))
	if err := b.direct.Touch(t.Context(), idle(5), shard.ChangeOf(userid.User{Context: "1", ID: "249"})); err != nil {
		t.Fatal(err)
	}
	if err := term.Apply(t.Context(), snapshot(t, b.direct), put(member.ID(), 2)); err != nil {
		t.Fatal(err)
	}
	b.compact(t)
	b.gate.shut(false)
	if got := receive(t, wants, "want").GetGeneration(); got != 2 {
		t.Errorf("got generation %d, want 2", got)
	}
	receive(t, hints, "hint")
	// Others may have been put before it, so it is of any user.
	if got := receive(t, changes, "change"); got.Shard != idle(5) || !got.Change.Whole() {
		t.Errorf("got %v, want a change of all of shard 5", got)
	}
	hinted(t, member, "the right", func() bool { return member.Right() == hold.Current })
	if !strings.Contains(b.log.String(), "required revision has been compacted") {
		t.Errorf("no watch has met the compaction:\n%s", b.log)
	}
}

// blackout is an etcd of the test's own, with and without a gate before it.
type blackout struct {
	config      cluster.Config
	root        *clustertest.Raw
	etcd        *clientv3.Client
	gate        *gate
	cut, direct *cluster.Client
	log         *record // of cut
}

func behindGate(t *testing.T) *blackout {
	t.Helper()
	b := &blackout{config: fresh(t), log: new(record)}
	endpoint, root := server(t, embedded.Config{})
	b.root = root
	b.config.Endpoints = []string{endpoint}
	b.direct = open(t, b.config)
	b.gate = newGateTo(t, "tcp", strings.TrimPrefix(endpoint, "http://"))
	through := b.config
	through.Endpoints = []string{b.gate.Addr().String()}
	var err error
	if b.cut, err = cluster.Open(t.Context(), through, slog.New(slog.NewTextHandler(b.log, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.cut.Close() })
	if b.etcd, err = clientv3.New(clientv3.Config{Endpoints: b.config.Endpoints, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.etcd.Close() })
	return b
}

// keepAlive keeps a member's lease where the member cannot.
func (b *blackout) keepAlive(t *testing.T, member *cluster.Member) {
	t.Helper()
	response, err := b.etcd.Get(t.Context(), b.config.Prefix+"/worker/"+member.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.etcd.KeepAlive(t.Context(), clientv3.LeaseID(response.Kvs[0].GetLease())); err != nil {
		t.Fatal(err)
	}
}

// compact removes all history.
func (b *blackout) compact(t *testing.T) {
	t.Helper()
	now, err := b.etcd.Get(t.Context(), b.config.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.etcd.Compact(t.Context(), now.Header.GetRevision()); err != nil {
		t.Fatal(err)
	}
}

// record is a log that can be read while it is written.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(line)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

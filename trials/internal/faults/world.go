// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

const (
	// ttl is the default. A whole etcd that comes back gives each lease one more of it,
	// and that must be enough for workers on a busy machine to renew theirs.
	ttl       = 5 * time.Second
	shards    = 64
	mailboxes = 40
	workers   = 3
	patience  = 90 * time.Second
	pollEvery = 20 * time.Millisecond
)

// World is a running cluster and what is known of it.
type World struct {
	dir      string
	out      io.Writer
	etcd     []*member
	mailpush *rig.Mailpush
	store    *imaptest.Many
	receiver *rig.Receiver
	client   *cluster.Client
	history  *History
	plans    *plans
	terms    *terms

	workers    []*worker
	schedulers []*node
	reachable  []string // where the next schedulers are expected; others are not needed
	started    int      // processes, ever
	mails      uint32
	once       []uint32 // of this scenario, which must not be pushed twice
	faults     int
}

// member is one etcd as a process, which keeps its place when it is started again.
type member struct {
	*proctest.Process

	args   []string
	client string // host:port
}

// node is a process with its ways to etcd.
type node struct {
	*proctest.Process

	proxies []*Proxy
}

// worker is a listener-worker as a process.
type worker struct {
	node

	mu  sync.Mutex
	ids []string // it has been registered under, the newest last
}

func (w *worker) registered() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ids)
}

// id is what it is registered under now.
func (w *worker) id() string {
	if ids := w.registered(); len(ids) > 0 {
		return ids[len(ids)-1]
	}
	return ""
}

// New starts everything below dir, and returns when every shard is held and every
// listener is in IDLE. It tells out what it does.
func New(ctx context.Context, dir string, out io.Writer) (*World, error) {
	w := &World{dir: dir, out: out, history: new(History)}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) start(ctx context.Context) error {
	var err error
	if err := w.startEtcd(ctx); err != nil {
		return err
	}
	if w.store, err = imaptest.NewMany(imaptest.ManyOptions{}); err != nil {
		return err
	}
	if w.receiver, err = rig.NewReceiver(); err != nil {
		return err
	}
	ca := filepath.Join(w.dir, "imap-ca.crt")
	if err := os.WriteFile(ca, w.store.CA(), 0o600); err != nil {
		return err
	}
	programs, err := rig.Build(ctx, w.dir)
	if err != nil {
		return err
	}
	w.mailpush, err = rig.New(ctx, rig.Options{
		Dir: filepath.Join(w.dir, "data"), Programs: programs, Etcd: w.endpoints(), Look: w.history.listenRegistry,
		Store:    rig.Store{Address: w.store.Addr(), CAFile: ca},
		Services: []string{identity.Admin, identity.Vault},
		Set:      []string{"cluster.leaseTTL=" + ttl.String(), fmt.Sprintf("cluster.shards=%d", shards), "log.level=debug"},
	})
	if err != nil {
		return err
	}
	w.reachable = w.mailpush.Schedulers()
	if w.client, err = cluster.Open(ctx, cluster.Config{Endpoints: w.endpoints(), Prefix: rig.EtcdPrefix}, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	w.history.Stage("the start", takeOver)
	w.plans = watchPlans(w.client)
	w.terms = watchTerms(w.endpoints(), rig.EtcdPrefix)
	for range 2 {
		if err := w.addScheduler(ctx); err != nil {
			return err
		}
	}
	for range workers {
		if err := w.addWorker(ctx); err != nil {
			return err
		}
	}
	for n := range mailboxes {
		if err := w.mailpush.Await(ctx, "a subscription", func(ctx context.Context) error {
			return w.mailpush.Subscribe(ctx, rig.Box(n), w.receiver.URL())
		}); err != nil {
			return err
		}
	}
	return w.settle(ctx)
}

func (w *World) startEtcd(ctx context.Context) error {
	places, err := embedded.Places(3)
	if err != nil {
		return err
	}
	clients, err := proctest.FreeAddresses(ctx, "127.0.0.2", len(places))
	if err != nil {
		return err
	}
	for i, place := range places {
		m := &member{client: clients[i]}
		m.args = []string{etcdRole, filepath.Join(w.dir, place.Name), "http://" + m.client, place.Name, place.PeerURL, place.Members}
		w.etcd = append(w.etcd, m)
		if err := w.startMember(m); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) startMember(m *member) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	name := m.args[3]
	m.Process, err = proctest.Start(proctest.Command{Path: self, Args: m.args, Name: name, Log: filepath.Join(w.dir, name+".log")})
	return err
}

func (w *World) endpoints() []string {
	var out []string
	for _, m := range w.etcd {
		out = append(out, "http://"+m.client)
	}
	return out
}

// ways makes a process's ways to etcd, and returns their endpoints.
func (w *World) ways(n *node) ([]string, error) {
	var ways []string
	for _, m := range w.etcd {
		proxy, err := NewProxy(m.client)
		if err != nil {
			return nil, errors.Join(err, n.closeProxies())
		}
		n.proxies = append(n.proxies, proxy)
		ways = append(ways, "http://"+proxy.Addr())
	}
	return ways, nil
}

// etcdAt is the setting that has a process reach etcd by its own ways.
func etcdAt(ways []string) string { return "cluster.etcd.endpoints=[" + strings.Join(ways, ",") + "]" }

func (w *World) addScheduler(context.Context) error {
	w.started++
	n := new(node)
	ways, err := w.ways(n)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("scheduler-%d", w.started)
	listen := "127.0.0.1:0"
	if len(w.reachable) > 0 {
		listen, w.reachable = w.reachable[0], w.reachable[1:]
	}
	n.Process, err = proctest.Start(w.mailpush.Command(identity.Scheduler, name, etcdAt(ways),
		"scheduler.name="+name, "scheduler.listen="+listen, "scheduler.opsListen=127.0.0.1:0"))
	if err != nil {
		return errors.Join(err, n.closeProxies())
	}
	w.schedulers = append(w.schedulers, n)
	return nil
}

// addWorker starts a worker and returns when it is registered.
func (w *World) addWorker(ctx context.Context) error {
	w.started++
	n := new(worker)
	ways, err := w.ways(&n.node)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("worker-%d", w.started)
	c := w.mailpush.Command(identity.Worker, name, etcdAt(ways), "worker.opsListen=127.0.0.1:0")
	c.Look = func(line []byte) {
		if id := w.history.listen(line); id != "" {
			n.mu.Lock()
			n.ids = append(n.ids, id)
			n.mu.Unlock()
		}
	}
	if n.Process, err = proctest.Start(c); err != nil {
		return errors.Join(err, n.closeProxies())
	}
	w.workers = append(w.workers, n)
	return w.until(ctx, "the registration of "+name, func() error {
		if n.id() == "" {
			return errors.New("it has none")
		}
		return nil
	})
}

// Close ends everything, in any state.
func (w *World) Close() error {
	var errs []error
	if w.plans != nil {
		errs = append(errs, w.plans.close())
	}
	if w.terms != nil {
		errs = append(errs, w.terms.close())
	}
	for _, n := range w.nodes() {
		_ = n.Resume() // it may not stand still
		n.Kill()
		errs = append(errs, n.closeProxies())
	}
	if w.mailpush != nil {
		errs = append(errs, w.mailpush.Close())
	}
	if w.client != nil {
		errs = append(errs, w.client.Close())
	}
	for _, m := range w.etcd {
		if m.Process != nil {
			m.Kill()
		}
	}
	if w.receiver != nil {
		w.receiver.Close()
	}
	if w.store != nil {
		errs = append(errs, w.store.Close())
	}
	return errors.Join(errs...)
}

// nodes are all processes that talk to etcd through proxies.
func (w *World) nodes() []*node {
	out := slices.Clone(w.schedulers)
	for _, n := range w.workers {
		out = append(out, &n.node)
	}
	return out
}

// heal lets everything through on all ways.
func (n *node) heal() {
	for _, proxy := range n.proxies {
		proxy.Heal()
	}
}

func (n *node) closeProxies() error {
	var errs []error
	for _, proxy := range n.proxies {
		errs = append(errs, proxy.Close())
	}
	return errors.Join(errs...)
}

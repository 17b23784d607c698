// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// journal is a log whose lines can be waited for.
type journal chan string

func newJournal() journal { return make(journal, 1000) }

// Write drops what nobody is waiting for any more.
func (j journal) Write(line []byte) (int, error) {
	select {
	case j <- string(line):
	default:
	}
	return len(line), nil
}

// until waits for a line with all these texts.
func (j journal) until(t *testing.T, texts ...string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line := <-j:
			missing := false
			for _, text := range texts {
				missing = missing || !strings.Contains(line, text)
			}
			if !missing {
				return
			}
		case <-late:
			t.Fatalf("nothing was logged with %q", texts)
		}
	}
}

func (w *world) raw() *clustertest.Raw {
	w.t.Helper()
	etcd, err := clustertest.Dial(w.etcd.Endpoints()[0])
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

// A full etcd takes renewals: who listens goes on listening. Who comes says why it has
// to wait, and needs no help when there is space again.
func TestFullEtcdKeepsListenersAndLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id, user := w.joined(), w.user("249")
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, w.admin(address), user, true)
	etcd := w.raw()
	if err := etcd.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := newJournal()
	w.log = log
	w.startWorker()
	log.until(t, "the cluster could not be joined", w.etcd.Endpoints()[0], "it is full (alarm NOSPACE)")
	w.mail(user, "new")
	receive(t, "push", w.hook.got)
	if err := etcd.MakeSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other := w.joined(id); other == id {
		t.Errorf("%s has joined twice", other)
	}
	w.until("the first worker", func(snapshot *cluster.Snapshot) bool { return find(snapshot, id).Worker != nil })
}

// A plan that cannot be read is no order: what runs keeps running, and a good plan is
// followed again.
func TestBrokenPlanStopsNoListener(t *testing.T) {
	t.Parallel()
	later, err := proto.Marshal(&clusterv1.Want{Format: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ value, says string }{
		"garbage":        {"\xffgarbage", "the value is not mailpush's"},
		"a later format": {string(later), "the value has format 2, this program knows formats up to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			log := newJournal()
			w.log = log
			address, _ := w.startWorker()
			id, user := w.joined(), w.user("249")
			w.registry.put(user, "main", w.subscription(address, "sub_1", user))
			w.plan(id, 1, 10, all()...)
			untilListening(t, w.admin(address), user, true)
			etcd, key := w.raw(), cluster.DefaultPrefix+"/want/"+id
			good, err := etcd.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if err := etcd.Put(t.Context(), key, c.value); err != nil {
				t.Fatal(err)
			}
			log.until(t, "plan for this worker was not understood", "key "+key+": "+c.says)
			w.mail(user, "new")
			receive(t, "push", w.hook.got)
			if err := etcd.Put(t.Context(), key, good); err != nil {
				t.Fatal(err)
			}
			w.plan(id, 2, 11)
			untilListening(t, w.admin(address), user, false)
		})
	}
}

// A worker in the wrong place says so and waits, instead of ending to be started again.
func TestWorkerWaitsForSettingsToBePutRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	etcd, key := w.raw(), cluster.DefaultPrefix+"/cfg"
	good, err := etcd.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := etcd.Put(t.Context(), key, "\xffgarbage"); err != nil {
		t.Fatal(err)
	}
	log := newJournal()
	w.log = log
	w.startWorker()
	log.until(t, "level=ERROR", "key "+key+": the value is not mailpush's")
	if err := etcd.Put(t.Context(), key, good); err != nil {
		t.Fatal(err)
	}
	w.joined()
}

// A worker whose users are in another registry would be granted shards of users it has
// never heard of. It stays out until the cluster is its installation's.
func TestWorkerStaysOutOfAnotherInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.cluster.Belong(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	w.registry.installation, w.registry.outage = "ours", true
	log := newJournal()
	w.log = log
	w.startWorker()
	log.until(t, "level=WARN", "the cluster could not be joined", "asking the registry for its installation")
	w.registry.mu.Lock()
	w.registry.outage = false
	w.registry.mu.Unlock()
	key := cluster.DefaultPrefix + "/cfg"
	log.until(t, "level=ERROR", "the cluster could not be joined",
		"key "+key+": the cluster there is of installation theirs, the registry here is of installation ours")
	snapshot, err := w.cluster.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Entries) > 0 {
		t.Error("it has joined all the same")
	}
	theirs, err := w.raw().Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.raw().Put(t.Context(), key, strings.ReplaceAll(theirs, "\x06theirs", "\x04ours")); err != nil {
		t.Fatal(err)
	}
	w.joined()
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"bytes"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/identity"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// journal is a log that tests read.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

// record has schedulers that start from now on log to a journal.
func (b *bench) record() *journal {
	j := &journal{wrote: make(chan struct{}, 1)}
	b.log = slog.New(slog.NewTextHandler(j, nil))
	return j
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.wrote <- struct{}{}:
	default:
	}
	return j.text.Write(line)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// until waits for a text.
func (j *journal) until(t *testing.T, text string) {
	t.Helper()
	late := time.After(patience)
	for j.count(text) == 0 {
		select {
		case <-j.wrote:
		case <-late:
			t.Fatalf("nothing was logged of %q, but\n%s", text, j.text.String())
		}
	}
}

func dial(t *testing.T, endpoint string) *clustertest.Raw {
	t.Helper()
	etcd, err := clustertest.Dial(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

func marshal(t *testing.T, message proto.Message) string {
	t.Helper()
	value, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// What is broken of one worker: its listeners run on, the others' shards move as ever,
// the log names the key once, nobody writes over it, and mending it is enough.
func TestBrokenValueConcernsItsWorkerOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, value, says string }{
		"garbage for a plan":   {"/want/", "\xffgarbage", "the value is not mailpush's"},
		"a later plan":         {"/want/", marshal(t, &clusterv1.Want{Format: 2}), "the value has format 2, this program knows formats up to 1"},
		"garbage for a report": {"/have/", "\xffgarbage", "the value is not mailpush's"},
		"a later report":       {"/have/", marshal(t, &clusterv1.Have{Format: 2}), "the value has format 2, this program knows formats up to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			log, etcd := b.record(), dial(t, endpoints[0])
			r := b.start(t, "one")
			first, second := b.join(t), b.join(t)
			second.until(t, shards/2)
			first.until(t, shards/2)
			before, key := first.epochs(), b.config.Prefix+c.key+first.ID()
			good, err := etcd.Get(t.Context(), key)
			if err != nil || good == "" {
				t.Fatalf("%s: %q, %v", key, good, err)
			}
			if err := etcd.Put(t.Context(), key, c.value); err != nil {
				t.Fatal(err)
			}
			// The only one that has anything to give to a third.
			third := b.join(t)
			third.until(t, shards/4)
			second.until(t, shards/4)
			log.until(t, "key "+key+": "+c.says)
			if !maps.Equal(first.epochs(), before) {
				t.Error("its worker runs something else")
			}
			if unread := b.unread(t, r); !slices.Equal(unread, []string{first.ID()}) {
				t.Errorf("listed as unread: %q, want its worker", unread)
			}
			if now, err := etcd.Get(t.Context(), key); err != nil || now != c.value {
				t.Errorf("%s: %q, %v, want it left alone", key, now, err)
			}
			if n := log.count("some keys in etcd cannot be read"); n != 1 {
				t.Errorf("it was logged %d times", n)
			}

			if err := etcd.Put(t.Context(), key, good); err != nil {
				t.Fatal(err)
			}
			log.until(t, "all keys in etcd can be read again")
			for _, w := range []*fakeWorker{second, third} {
				if err := w.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			first.until(t, shards)
		})
	}
}

// unread lists the workers that are shown as not to be read.
func (b *bench) unread(t *testing.T, r *replica) []string {
	t.Helper()
	listed, err := b.list(t, r, identity.Admin)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, w := range listed.GetWorkers() {
		if w.GetUnread() {
			out = append(out, w.GetId())
		}
	}
	return out
}

// Whatever somebody else keeps in our place is named, and left where it is. Only under
// one id in worker/ and in want/ it would be a live worker whose plan nobody knows.
func TestForeignKeysAreNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	log, etcd := b.record(), dial(t, endpoints[0])
	named := []string{"/leader/stranger", "/worker/one", "/want/another", "/have/third"}
	foreign := append([]string{"/stranger", "/cfg/stranger", "/worker"}, named...)
	for _, key := range foreign {
		if err := etcd.Put(t.Context(), b.config.Prefix+key, "\xffgarbage"); err != nil {
			t.Fatal(err)
		}
	}
	r := b.start(t, "one")
	first := b.join(t)
	first.until(t, shards)
	second := b.join(t)
	second.until(t, shards/2)
	// Under the id of a worker there may be one, of which nothing else is known.
	if unread := b.unread(t, r); !slices.Equal(unread, []string{"one"}) {
		t.Errorf("listed as unread: %q", unread)
	}
	for _, key := range named {
		log.until(t, "key "+b.config.Prefix+key+": ")
	}
	for _, key := range foreign {
		if value, err := etcd.Get(t.Context(), b.config.Prefix+key); err != nil || value != "\xffgarbage" {
			t.Errorf("%s: %q, %v, want it left alone", key, value, err)
		}
		if err := etcd.Delete(t.Context(), b.config.Prefix+key); err != nil {
			t.Fatal(err)
		}
	}
	log.until(t, "all keys in etcd can be read again")
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.until(t, shards)
}

// Two installations have met under one prefix. The scheduler of the one that came later
// may lead as long as it knows no better; then it says so once, and leaves the other's
// workers alone for good.
func TestSchedulerLeavesAnotherInstallationAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.client.Belong(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	b.registry.installation.Store(new("theirs"))
	planner, first := b.start(t, "theirs"), b.join(t)
	first.until(t, shards)
	planner.stop()
	b.registry.installation.Store(nil)
	log := b.record()
	r := b.start(t, "one")
	b.leads(t, "theirs") // the registry may be away for long
	b.registry.installation.Store(new("ours"))
	want := "key " + b.config.Prefix + "/cfg: the cluster there is of installation theirs, the registry here is of installation ours"
	until(t, "an unready scheduler", func() bool {
		err := r.Ready(t.Context())
		return err != nil && strings.HasPrefix(err.Error(), want)
	})
	log.until(t, `level=ERROR msg="cluster cannot be joined yet" error="`+want)
	until(t, "the end of its term", func() bool {
		leader, err := b.client.Leader(t.Context())
		return err == nil && leader == ""
	})
	second := b.join(t)
	// Put right, as by another prefix.
	if err := dial(t, endpoints[0]).Put(t.Context(), b.config.Prefix+"/cfg", marshal(t, b.client.Settings())); err != nil {
		t.Fatal(err)
	}
	second.until(t, shards/2)
	first.until(t, shards/2)
	if n := log.count("level=ERROR"); n != 1 {
		t.Errorf("it was logged %d times:\n%s", n, log.text.String())
	}
}

// until waits until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.After(patience); !is(); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("there was never %s", what)
		}
	}
}

// ended waits until a channel is closed.
func ended(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("no end")
	}
}

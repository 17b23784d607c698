// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/cluster"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

// mailEvery is the pause between two mails of the stream: some arrive in every phase
// of a move.
const mailEvery = 5 * time.Millisecond

// stream delivers mails round and round until it is stopped, and collects the pushes.
type stream struct {
	w      *world
	users  []*mailv1.User
	stop   context.CancelFunc
	done   sync.WaitGroup
	sent   []string // their subjects; to be read when done
	pushed map[string]int
}

func (w *world) startStream(address string, users int) *stream {
	w.t.Helper()
	s := &stream{w: w, pushed: make(map[string]int)}
	for n := range users {
		user := w.user(fmt.Sprintf("user%d", n))
		w.registry.put(user, "main", w.subscription(address, fmt.Sprintf("sub_%d", n), user))
		s.users = append(s.users, user)
	}
	ctx, stop := context.WithCancel(w.t.Context())
	s.stop = stop
	s.done.Go(func() { s.send(ctx) })
	background(w.t, func(ctx context.Context) error { // nobody else reads what is committed
		for {
			select {
			case <-w.registry.committed:
			case <-ctx.Done():
				return nil
			}
		}
	})
	w.t.Cleanup(stop)
	return s
}

func (s *stream) send(ctx context.Context) {
	tick := time.NewTicker(mailEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		user := s.users[n%len(s.users)].GetUserId()
		subject := fmt.Sprintf("%s-%d", user, n)
		if _, err := s.w.imap.Deliver(user, []byte("From: a@example.org\r\nSubject: "+subject+"\r\n\r\nhello\r\n")); err != nil {
			s.w.t.Errorf("delivering: %v", err)
			return
		}
		s.sent = append(s.sent, subject)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// take notes what a push brought.
func (s *stream) take(push received) {
	for _, event := range push.body.Data.Events {
		s.pushed[event.Subject]++
	}
}

// pump takes pushes as they come, beside the test, until the returned func is called.
func (s *stream) pump() (end func()) {
	ctx, cancel := context.WithCancel(s.w.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case push := <-s.w.hook.got:
				s.take(push)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// settle waits for the push of the last mail, after the stream was stopped.
func (s *stream) settle() {
	s.w.t.Helper()
	s.stop()
	s.done.Wait()
	for len(s.pushed) < len(s.sent) {
		s.take(receive(s.w.t, "push of every mail", s.w.hook.got))
	}
}

// expectEachOnce is called when nobody can push any more.
func (s *stream) expectEachOnce() {
	s.w.t.Helper()
	for len(s.w.hook.got) > 0 {
		s.take(<-s.w.hook.got)
	}
	for _, subject := range s.sent {
		if times := s.pushed[subject]; times != 1 {
			s.w.t.Errorf("mail %s was pushed %d times", subject, times)
		}
	}
}

// handOver moves all shards from one worker to another, as the scheduler does: batch
// by batch, each granted when its release is reported.
func (w *world) handOver(term *cluster.Term, from, to string) {
	w.t.Helper()
	w.until("a worker that drains", func(snapshot *cluster.Snapshot) bool { return find(snapshot, from).Worker.GetDraining() })
	left, moved := all(), []uint32(nil)
	for len(left) > 0 {
		batch := left[:min(5, len(left))]
		left = left[len(batch):]
		revoked := w.apply(term, func(snapshot *cluster.Snapshot) map[string]*clusterv1.Want {
			want := following(find(snapshot, from).Want, left, 10)
			want.Revoked = []*clusterv1.Revocation{{Generation: want.GetGeneration(), Shards: shardSet(batch, 10)}}
			return map[string]*clusterv1.Want{from: want}
		})
		w.until("a released batch", func(snapshot *cluster.Snapshot) bool {
			have := find(snapshot, from).Have
			return have.GetGeneration() >= revoked[from].GetGeneration() && !holdsAny(have, batch)
		})
		moved = append(moved, batch...)
		w.apply(term, func(snapshot *cluster.Snapshot) map[string]*clusterv1.Want {
			return map[string]*clusterv1.Want{
				from: following(find(snapshot, from).Want, left, 10),
				to:   following(find(snapshot, to).Want, moved, 20),
			}
		})
	}
}

func (w *world) apply(term *cluster.Term, plan func(*cluster.Snapshot) map[string]*clusterv1.Want) map[string]*clusterv1.Want {
	w.t.Helper()
	snapshot, err := w.cluster.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	wants := plan(snapshot)
	if err := term.Apply(w.t.Context(), snapshot, cluster.Update{Put: wants}); err != nil {
		w.t.Fatal(err)
	}
	return wants
}

// following is the want after another.
func following(want *clusterv1.Want, granted []uint32, epoch uint64) *clusterv1.Want {
	return &clusterv1.Want{Format: 1, Generation: want.GetGeneration() + 1, Granted: []*mailv1.ShardSet{shardSet(granted, epoch)}}
}

func shardSet(numbers []uint32, epoch uint64) *mailv1.ShardSet {
	return &mailv1.ShardSet{Backend: "imapidle", Shards: numbers, Epochs: slices.Repeat([]uint64{epoch}, len(numbers))}
}

func find(snapshot *cluster.Snapshot, id string) cluster.Entry {
	for _, entry := range snapshot.Entries {
		if entry.ID == id {
			return entry
		}
	}
	return cluster.Entry{}
}

func holdsAny(have *clusterv1.Have, numbers []uint32) bool {
	return slices.ContainsFunc(have.GetHeld(), func(set *mailv1.ShardSet) bool {
		return slices.ContainsFunc(set.GetShards(), func(number uint32) bool { return slices.Contains(numbers, number) })
	})
}

// relay is two workers, of which the first runs everything, with mails arriving.
type relay struct {
	*stream
	first, second       string // their ids
	term                *cluster.Term
	client              workerv1connect.WorkerServiceClient
	stopFirst, stopLast func()
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	w, r := newWorld(t), &relay{}
	var address string
	address, r.stopFirst = w.startWorker()
	r.first = w.joined()
	r.stream = w.startStream(address, 8)
	w.plan(r.first, 1, 10, all()...)
	r.client = w.admin(address)
	for _, user := range r.users {
		untilListening(t, r.client, user, true)
	}
	_, r.stopLast = w.startWorker()
	r.second = w.joined(r.first)
	var err error
	if r.term, err = w.cluster.Campaign(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.term.Resign(context.WithoutCancel(t.Context())) })
	return r
}

func (r *relay) setDraining(worker string, draining bool) error {
	_, err := r.client.SetDraining(r.w.t.Context(), connect.NewRequest(&workerv1.SetDrainingRequest{Worker: worker, Draining: draining}))
	return err
}

func TestDrainLosesNothingAndDoublesNothing(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	end := r.pump()
	for range 2 { // as good as once
		if err := r.setDraining(r.first, true); err != nil {
			t.Fatal(err)
		}
	}
	r.w.handOver(r.term, r.first, r.second)
	after := r.w.until("all shards with the other worker", func(snapshot *cluster.Snapshot) bool {
		held := find(snapshot, r.second).Have.GetHeld()
		return len(held) == 1 && len(held[0].GetShards()) == shards && len(find(snapshot, r.first).Have.GetHeld()) == 0
	})
	if find(after, r.first).Worker == nil {
		t.Error("the drained worker has left")
	}
	end()
	r.settle()
	if err := r.setDraining(r.second, false); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("told another worker's wish: %v", err)
	}
	if err := r.setDraining("", false); err != nil {
		t.Error(err)
	}
	r.w.until("a worker that takes shards again", func(snapshot *cluster.Snapshot) bool {
		worker := find(snapshot, r.first).Worker
		return worker != nil && !worker.GetDraining()
	})
	r.stopFirst()
	r.stopLast()
	r.expectEachOnce()
}

func TestStopHandsOverLosesNothingAndDoublesNothing(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	end := r.pump()
	stopped := make(chan struct{})
	go func() {
		r.stopFirst()
		close(stopped)
	}()
	r.w.handOver(r.term, r.first, r.second)
	receive(t, "end of the worker", stopped)
	end()
	r.settle()
	r.stopLast()
	r.expectEachOnce()
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/shard"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	"mailpush.internal/services/scheduler/internal/assign"
	"mailpush.internal/services/scheduler/internal/registry"
)

// fakeRegistry counts calls and answers with n listeners, or not at all.
type fakeRegistry struct {
	registryv1connect.UnimplementedRegistryServiceHandler

	calls atomic.Int32
	n     atomic.Uint32
	away  atomic.Bool
}

func (r *fakeRegistry) ShardLoads(_ context.Context, request *connect.Request[registryv1.ShardLoadsRequest]) (*connect.Response[registryv1.ShardLoadsResponse], error) {
	r.calls.Add(1)
	if r.away.Load() {
		return nil, connect.NewError(connect.CodeUnavailable, nil)
	}
	if request.Msg.GetOnlyMaxEpoch() {
		return connect.NewResponse(&registryv1.ShardLoadsResponse{MaxEpoch: uint64(r.n.Load()) * 100}), nil
	}
	return connect.NewResponse(&registryv1.ShardLoadsResponse{
		Loads:    []*registryv1.ShardLoad{{Backend: "imapidle", Shard: 7, Listeners: r.n.Load()}},
		MaxEpoch: uint64(r.n.Load()) * 100,
	}), nil
}

// Do implements [connect.HTTPClient] without a network, so that time can be faked.
func (r *fakeRegistry) Do(request *http.Request) (*http.Response, error) {
	_, handler := registryv1connect.NewRegistryServiceHandler(r)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

func loads(n uint32) assign.Loads {
	return assign.Loads{Listeners: map[shard.ID]uint32{{Backend: "imapidle", Number: 7}: n}, MaxEpoch: uint64(n) * 100}
}

func TestLoadsFollowHintsAndOutliveTheRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake, metrics := new(fakeRegistry), prometheus.NewRegistry()
		fake.away.Store(true)
		l, err := registry.New(fake, slog.New(slog.DiscardHandler), metrics)
		if err != nil {
			t.Fatal(err)
		}
		hints := make(chan struct{}, 1)
		ended := make(chan error, 1)
		go func() { ended <- l.Run(t.Context(), hints) }()
		expect := func(calls int32, want assign.Loads) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, l.Last()); diff != "" || fake.calls.Load() != calls {
				t.Fatalf("%d calls, want %d; loads: %s", fake.calls.Load(), calls, diff)
			}
		}
		expect(1, assign.Loads{})

		fake.away.Store(false)
		fake.n.Store(1)
		time.Sleep(time.Second) //nolint:forbidigo // of a fake clock
		expect(2, loads(1))

		fake.n.Store(2)
		hints <- struct{}{}
		expect(2, loads(1))     // not yet: calls are spaced
		time.Sleep(time.Second) //nolint:forbidigo // of a fake clock
		expect(3, loads(2))

		fake.away.Store(true)
		time.Sleep(5 * time.Second) //nolint:forbidigo // of a fake clock
		expect(3, loads(2))         // nobody hints, nobody asks
		hints <- struct{}{}
		expect(4, loads(2))
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP mailpush_scheduler_loads_age_seconds Time since the registry last told the loads of the shards; -1 when it never did.
# TYPE mailpush_scheduler_loads_age_seconds gauge
mailpush_scheduler_loads_age_seconds 5
`)); err != nil {
			t.Error(err)
		}
		close(hints)
		fake.away.Store(false)
		time.Sleep(2 * time.Second) //nolint:forbidigo // of a fake clock
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAskBringsTheHighestEpochOfThisMoment(t *testing.T) {
	t.Parallel()
	fake := new(fakeRegistry)
	l, err := registry.New(fake, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	fake.away.Store(true)
	if err := l.Ask(t.Context()); err == nil {
		t.Error("a registry that is away has answered")
	}
	fake.away.Store(false)
	fake.n.Store(1)
	want := loads(1)
	for n := range uint32(3) { // the loads once, then the epoch alone
		if err := l.Ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, l.Last()); diff != "" {
			t.Errorf("loads (-want +got):\n%s", diff)
		}
		fake.n.Store(n + 2)
		want.MaxEpoch = uint64(n+2) * 100
	}
	fake.n.Store(1)
	if err := l.Ask(t.Context()); err != nil || l.Last().MaxEpoch != 300 {
		t.Errorf("the highest epoch has gone back to %d, %v", l.Last().MaxEpoch, err)
	}
}

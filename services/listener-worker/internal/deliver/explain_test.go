// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func (w *fakeWorld) explain(n int) deliver.Explanation {
	w.t.Helper()
	got, err := w.loop.Explain(w.t.Context(), user(n))
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func TestExplainShowsWhatALaneWaitsFor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://away.example/" {
				return transport.Result{Class: transport.Retry, Detail: "no answer: connection refused", Unanswered: true, Unreached: true}
			}
			return transport.Result{}
		}
		began := time.Now()
		w.put(user(1), subscribed("good", "https://good.example/"))
		for n := 2; n < 5; n++ {
			w.put(user(n), subscribed("away"+string(rune('0'+n)), "https://away.example/"))
		}
		pass(time.Second)
		for n := 1; n < 5; n++ {
			w.deliverMail(user(n), 1)
		}
		pass(time.Minute)
		if got := w.explain(9); len(got.Lanes) != 0 || !got.UncommittedSince.IsZero() {
			w.t.Errorf("of nobody: %+v", got)
		}
		good := w.explain(1).Lanes
		if len(good) != 1 || good[0].Result != transport.OK || !good[0].LastPush.After(began) || !good[0].OriginDownSince.IsZero() || good[0].FolderEnd != 11 {
			w.t.Errorf("of one that is served: %+v", good)
		}
		away := w.explain(2).Lanes
		if len(away) != 1 || away[0].State != pump.AwaitsOrigin || !away[0].OriginDownSince.After(began) ||
			away[0].OriginReason != "no answer: connection refused" || !away[0].LastPush.IsZero() {
			w.t.Errorf("of one whose origin is away: %+v", away)
		}
	})
}

func TestExplainEndsWithTheLoopOrTheCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &fakeWorld{}
	loop := deliver.New(deliver.Config{}, transport.Table{transport.Webhook: w}, w, w, w)
	if _, err := loop.Explain(ctx, user(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("explained to nobody: %v", err)
	}
	if err := loop.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := loop.Explain(t.Context(), user(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("explained by a loop that has ended: %v", err)
	}
}

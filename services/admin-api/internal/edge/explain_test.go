// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"slices"
	"testing"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/explain"
	"mailpush.internal/services/admin-api/internal/registry"
)

// explainable is a world with one user whose listener idles at w1, and whose pushes go out.
func explainable(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	put(w, registry.CredentialStored, anna.User)
	w.vault.sealed[anna.String()+" "+registry.MailAccount(0)] = "anna:pw"
	w.scheduler.places = map[registry.Shard]explain.Placement{
		idle(registry.ShardOf(anna, w.Shards)): {Holder: "w1", Granted: "w1", Capable: true, Leader: "s1"},
	}
	w.workers.explained = map[string]*workerv1.ExplainUserResponse{"a1": {
		Worker: "w1", Right: workerv1.RightToAct_RIGHT_TO_ACT_CURRENT,
		Listener: &workerv1.ExplainedListener{Listener: &workerv1.Listener{State: mailv1.ListenerState_LISTENER_STATE_IDLE}},
		Deliveries: []*workerv1.ExplainedDelivery{{Delivery: &workerv1.Delivery{
			SubscriptionId: anna.User, State: workerv1.DeliveryState_DELIVERY_STATE_IDLE, Cursor: &mailv1.Cursor{Folder: "INBOX", Uid: 7},
		}}},
	}}
	return w
}

func (w *world) cause(t *testing.T) decide.Cause {
	t.Helper()
	why, err := w.Explain(t.Context(), anna)
	if err != nil {
		t.Fatal(err)
	}
	if why.UserID != anna || (why.Cause == "") != (why.Advice == "") {
		t.Errorf("explained %+v", why)
	}
	return why.Cause
}

func TestExplainAsksWhoeverKnows(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "down")
	tests := map[string]struct {
		change func(*world)
		want   decide.Cause
	}{
		"all well":              {func(*world) {}, ""},
		"nobody is registered":  {func(w *world) { delete(w.store.users, anna) }, decide.NotRegistered},
		"registry away":         {func(w *world) { w.store.reading = errors.New("connection refused") }, explain.RegistryDown},
		"vault away":            {func(w *world) { w.vault.failing["has"] = down }, explain.VaultDown},
		"vault has lost it":     {func(w *world) { clear(w.vault.sealed) }, decide.NoCredential},
		"no scheduler":          {func(w *world) { w.scheduler.err = down }, explain.SchedulerSilent},
		"etcd away":             {func(w *world) { w.scheduler.err, w.cluster.err = down, down }, explain.EtcdDown},
		"no worker":             {func(w *world) { w.scheduler.members.Workers = nil }, decide.NoWorker},
		"no capable worker":     {func(w *world) { w.scheduler.members.Workers = w.scheduler.members.Workers[1:] }, decide.NoCapableWorker},
		"a worker that hangs":   {func(w *world) { w.workers.silent["a1"], w.workers.explained = ErrNoAnswer, nil }, explain.WorkerSilent},
		"a worker of before":    {func(w *world) { w.workers.silent["a1"], w.workers.explained = ErrTooOld, nil }, explain.WorkerTooOld},
		"a scheduler of before": {func(w *world) { w.scheduler.old = true }, ""},
		"the same, nobody's shard": {func(w *world) {
			w.scheduler.old, w.scheduler.members.Workers[0].Held = true, nil
		}, explain.BetweenOwners},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := explainable(t)
			tt.change(w)
			if got := w.cause(t); got != tt.want {
				t.Errorf("cause %q, want %q", got, tt.want)
			}
		})
	}
}

// While etcd is away no scheduler can say who runs a listener: those are asked who were
// there before.
func TestExplainRemembersTheWorkers(t *testing.T) {
	t.Parallel()
	w := explainable(t)
	if got := w.cause(t); got != "" {
		t.Fatalf("cause %q", got)
	}
	w.scheduler.err, w.cluster.err = errors.New("down"), errors.New("no endpoint answers")
	w.workers.explained["a1"].Right = workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT
	w.workers.asked = nil
	why, err := w.Explain(t.Context(), anna)
	if err != nil || why.Cause != explain.EtcdDown {
		t.Errorf("%+v, %v", why, err)
	}
	if !slices.Equal(w.workers.asked, []string{"a1"}) {
		t.Errorf("asked %v, want the one that is capable", w.workers.asked)
	}
	if last := why.Steps[len(why.Steps)-1]; last.Check != "endpoint" || last.Outcome != explain.Yes {
		t.Errorf("the last step is %+v, want what becomes of pushes", last)
	}
}

func TestExplainOneSubscription(t *testing.T) {
	t.Parallel()
	w := explainable(t)
	other := registry.Subscription{ID: "other", UserID: anna, Client: "mobile", Disabled: registry.Disabled{Is: true, Reason: "noisy"}}
	w.store.subs = append(w.store.subs, other)
	if got := w.cause(t); got != explain.SubscriptionDisabled {
		t.Errorf("of the user: cause %q", got)
	}
	for id, want := range map[string]decide.Cause{anna.User: "", "other": explain.SubscriptionDisabled} {
		why, err := w.ExplainSubscription(t.Context(), id)
		if err != nil || why.UserID != anna || why.Cause != want {
			t.Errorf("of %s: %+v, %v", id, why, err)
		}
	}
	if _, err := w.ExplainSubscription(t.Context(), "sub_none"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of none: %v", err)
	}
	w.store.reading = errors.New("connection refused")
	if why, err := w.ExplainSubscription(t.Context(), "other"); err != nil || why.Cause != explain.RegistryDown {
		t.Errorf("without a registry: %+v, %v", why, err)
	}
}

func TestExplainEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := explainable(t).Explain(ctx, anna); !errors.Is(err, context.Canceled) {
		t.Errorf("explained to nobody: %v", err)
	}
}

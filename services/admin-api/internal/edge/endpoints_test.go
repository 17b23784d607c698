// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

func gone(id string, shard uint32) registry.Report {
	return registry.Report{
		Claim: registry.Claim{Shard: idle(shard), Epoch: 5}, Subscription: id, Outcome: registry.OutcomeGone, Proven: true,
	}
}

func TestReportKeepsTheOrderAndTellsOwners(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	var log bytes.Buffer
	w.Log = slog.New(slog.NewTextHandler(&log, nil))
	var steps []string
	w.Count = func(step string) { steps = append(steps, step) }
	w.store.verdicts = map[string]registry.Verdict{
		"kept": registry.VerdictKept, "disabled": registry.VerdictDisabled, "held": registry.VerdictHeld,
		"held too": registry.VerdictHeld, a.ID: registry.VerdictDisabled, "none": registry.VerdictNone,
	}
	w.store.storms = map[string]registry.Storm{
		"held":     {Origin: "https://hook.example:443", Gone: 10, Endpoints: 20, News: true},
		"held too": {Origin: "https://hook.example:443", Gone: 11, Endpoints: 20},
	}
	mine := registry.ShardOf(anna, w.Shards)
	other := (mine + 1) % w.Shards
	failing := gone("disabled", other)
	failing.Outcome = registry.OutcomeFailing
	kept := failing
	kept.Subscription = "kept"
	verdicts, err := w.Report(t.Context(), []registry.Report{
		gone("held", 0), failing, gone(a.ID, mine), gone("none", 0), kept, gone("held too", 0),
	})
	want := []registry.Verdict{
		registry.VerdictHeld, registry.VerdictDisabled, registry.VerdictDisabled, registry.VerdictNone, registry.VerdictKept, registry.VerdictHeld,
	}
	if diff := cmp.Diff(want, verdicts); diff != "" || err != nil {
		t.Errorf("error %v, verdicts (-want +got):\n%s", err, diff)
	}
	shards := []registry.Shard{idle(mine), idle(other)}
	for _, list := range [][]registry.Shard{w.cluster.touched, shards} {
		slices.SortFunc(list, registry.Shard.Compare)
	}
	if !slices.Equal(w.cluster.touched, shards) {
		t.Errorf("touched %v, want %v", w.cluster.touched, shards)
	}
	if len(w.vault.sealed) != 2 || len(w.store.erasures) != 0 || len(w.store.subs) != 1 {
		t.Errorf("not kept: %v %v %v", w.vault.sealed, w.store.erasures, w.store.subs)
	}
	if !slices.Equal(steps, []string{GoneDisabled}) {
		t.Errorf("counted %v", steps)
	}
	if got := log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "origin=https://hook.example:443 gone=10 endpoints=20") {
		t.Errorf("log: %s", got)
	}
}

func TestReportSaidAgain(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	if _, err := w.Report(t.Context(), []registry.Report{gone(a.ID, 4)}); fault.KindOf(err) != fault.Invalid ||
		!strings.HasPrefix(err.Error(), "reports.claim.shard: ") {
		t.Errorf("a shard that does not exist: %v", err)
	}
	w.store.verdicts = map[string]registry.Verdict{"left long ago": registry.VerdictDeleted}
	for range 2 { // the answer of the first time may be lost, and with it the word to the owner
		w.cluster.touched = nil
		if _, err := w.Report(t.Context(), []registry.Report{gone("left long ago", 1)}); err != nil || !slices.Equal(w.cluster.touched, []registry.Shard{idle(1)}) {
			t.Errorf("touched %v, %v", w.cluster.touched, err)
		}
	}
}

// A worker of an earlier release reports each answer that an endpoint is gone, without
// evidence. That is not believed, whatever the store would say.
func TestGoneWithoutEvidenceIsAFailure(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	w.store.verdicts = map[string]registry.Verdict{a.ID: registry.VerdictKept}
	r := gone(a.ID, registry.ShardOf(anna, w.Shards))
	r.Proven = false
	reports := []registry.Report{r}
	verdicts, err := w.Report(t.Context(), reports)
	if err != nil || !slices.Equal(verdicts, []registry.Verdict{registry.VerdictKept}) {
		t.Errorf("verdicts %v, error %v", verdicts, err)
	}
	if len(w.store.reported) != 1 || w.store.reported[0].Outcome != registry.OutcomeFailing {
		t.Errorf("stored: %+v", w.store.reported)
	}
	if reports[0].Outcome != registry.OutcomeGone {
		t.Error("the caller's report was changed")
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"slices"
	"testing"
	"time"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// Why shards have no worker is a matter of what to do about it: build another kind of
// worker, or start more of them. Who leads no more knows nothing of that.
func TestMetricsTellWhyShardsHaveNoWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	loads := &registryv1.ShardLoadsResponse{}
	for number := range uint32(shards) {
		loads.Loads = append(loads.Loads, &registryv1.ShardLoad{Backend: "imapidle", Shard: number, Listeners: 1000}) // a worker takes 100
	}
	b.registry.loads.Store(loads)
	r := b.start(t, "one")
	r.untilAlarms(t, "no_capable_worker")
	b.join(t)
	r.untilAlarms(t, "workers_full")
	r.stop()
	if alarms := r.alarms(t); len(alarms) > 0 {
		t.Errorf("after its term it sounds %v", alarms)
	}
}

// untilAlarms waits until only these sound.
func (r *replica) untilAlarms(t *testing.T, want ...string) {
	t.Helper()
	for late := time.After(patience); ; {
		if slices.Equal(r.alarms(t), want) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("%v sound, want %v", r.alarms(t), want)
		}
	}
}

// alarms are the reasons that the metrics show.
func (r *replica) alarms(t *testing.T) (reasons []string) {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "mailpush_scheduler_alarms" && metric.GetGauge().GetValue() == 1 {
				reasons = append(reasons, metric.GetLabel()[0].GetValue())
			}
		}
	}
	return reasons
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package heap

import (
	"context"
	"log/slog"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// percentNow is the collector's target in force.
func percentNow() uint64 {
	read := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(read)
	return read[0].Value.Uint64()
}

func TestTheChoiceIsAppliedAndTakenBackAtTheEnd(t *testing.T) { //nolint:paralleltest // the collector is everybody's
	t.Setenv("GOGC", "")
	found := percentNow()
	k := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	k.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	k.next = func(sample Sample) Choice {
		if sample.Allocated == 0 || sample.At.IsZero() {
			t.Errorf("an empty sample: %+v", sample)
		}
		switch looks++; looks {
		case 1:
			return Choice{Percent: 31, Release: true}
		case 2:
			if got := percentNow(); got != 31 {
				t.Errorf("the target is %d %%, chosen were 31", got)
			}
			return Choice{Percent: 97}
		default:
			cancel()
			return Choice{Percent: 97}
		}
	}
	if err := k.Run(ctx); err != nil {
		t.Error(err)
	}
	if percent, releases := testutil.ToFloat64(k.percent), testutil.ToFloat64(k.releases); percent != 97 || releases != 1 {
		t.Errorf("the metrics show %g %% and %g releases", percent, releases)
	}
	if got := percentNow(); got != found {
		t.Errorf("the target is %d %% after the end, it was %d %%", got, found)
	}
}

func TestTheOperatorsGOGCIsLeftAlone(t *testing.T) { //nolint:paralleltest // likewise
	t.Setenv("GOGC", "75")
	found := percentNow()
	k := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	k.next = func(Sample) Choice {
		t.Error("the process is looked at")
		return Choice{Percent: 1}
	}
	if err := k.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if got := percentNow(); got != found {
		t.Errorf("the target is %d %%, it was %d %%", got, found)
	}
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package heap

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// sampleEvery is how often the process is looked at. A look costs microseconds; a storm
// is noticed within this time.
const sampleEvery = 2 * time.Second

// Keeper applies the policy to this process. Its settings are those of the whole
// process: it is for one that is a worker and nothing else.
type Keeper struct {
	log      *slog.Logger
	every    time.Duration
	next     func(Sample) Choice
	percent  prometheus.Gauge
	releases prometheus.Counter
}

// New makes a keeper that does nothing until Run.
func New(log *slog.Logger, metrics prometheus.Registerer) *Keeper {
	f := promauto.With(metrics)
	return &Keeper{
		log: log, every: sampleEvery, next: new(Policy).Next,
		percent: f.NewGauge(prometheus.GaugeOpts{
			Name: "mailpush_worker_gc_percent",
			Help: "How much garbage the worker lets gather, in percent of the live heap: little while it is calm. 0: the environment's GOGC decides.",
		}),
		releases: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_memory_releases_total",
			Help: "How often memory was given back to the system after a storm.",
		}),
	}
}

// Run applies the policy until ctx ends, and leaves the collector's target as it found
// it. It does nothing where the operator has chosen by GOGC. GOMEMLIMIT goes with it: the
// runtime keeps to that limit whatever the target is.
func (k *Keeper) Run(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	found := debug.SetGCPercent(loosePercent)
	defer debug.SetGCPercent(found)
	k.percent.Set(loosePercent)
	ticker := time.NewTicker(k.every)
	defer ticker.Stop()
	for percent := loosePercent; ; {
		choice := k.next(sample())
		if choice.Percent != percent {
			percent = choice.Percent
			debug.SetGCPercent(percent)
			k.percent.Set(float64(percent))
		}
		if choice.Release {
			debug.FreeOSMemory()
			k.releases.Inc()
			k.log.DebugContext(ctx, "memory was given back to the system")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func sample() Sample {
	read := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(read)
	return Sample{Allocated: read[0].Value.Uint64(), At: time.Now()}
}

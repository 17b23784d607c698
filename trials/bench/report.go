// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// latencies are the times of one mail each, and what all of them cost.
type latencies struct {
	fromDelivery []time.Duration // LMTP accepted the mail -> webhook request received
	fromExists   []time.Duration // EXISTS reached the worker's socket -> webhook request received
	cpu          time.Duration   // of the worker, in all
	bytes        int64           // that the worker read from Dovecot, in all
}

// memoryUse is a worker's memory with and without listeners.
type memoryUse struct {
	listeners     int
	before, after int64 // resident bytes
}

func (m memoryUse) perListener() int64 { return (m.after - m.before) / int64(m.listeners) }

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func report(w io.Writer, times latencies, memory memoryUse) {
	row := func(name string, durations []time.Duration) {
		fmt.Fprintf(w, "%-44s %8d %9.1f %9.1f %9.1f\n", name, len(durations),
			milliseconds(quantile(durations, 0.5)), milliseconds(quantile(durations, 0.99)), milliseconds(slices.Max(durations)))
	}
	fmt.Fprintf(w, "\n%-44s %8s %9s %9s %9s\n", "latency, milliseconds", "mails", "p50", "p99", "max")
	row("LMTP accepted -> webhook request received", times.fromDelivery)
	row("EXISTS received -> webhook request received", times.fromExists)
	fmt.Fprintf(w, "%-44s %8s %9s %9s %9s\n", "memory, KiB resident in the worker", "idle", "before", "after", "each")
	fmt.Fprintf(w, "%-44s %8d %9d %9d %9.1f\n\n", "listeners in IDLE over TLS 1.3", memory.listeners,
		memory.before>>10, memory.after>>10, float64(memory.perListener())/1024)
	fmt.Fprintf(w, "result: push_latency_ms_p50=%.1f\n", milliseconds(quantile(times.fromExists, 0.5)))
	fmt.Fprintf(w, "result: push_latency_ms_p99=%.1f\n", milliseconds(quantile(times.fromExists, 0.99)))
	mails := len(times.fromExists)
	fmt.Fprintf(w, "result: bytes_read_per_mail=%d\n", times.bytes/int64(mails))
	fmt.Fprintf(w, "result: wakeup_cpu_us=%d\n", times.cpu.Microseconds()/int64(mails))
	fmt.Fprintf(w, "result: bytes_per_idle_listener=%d\n", memory.perListener())
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

func quantile(times []time.Duration, q float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Seconds()
}

func report(w io.Writer, all []takeovers) {
	fmt.Fprintf(w, "\n%-59s %5s %7s %7s %7s\n", "take-over, seconds", "times", "p50", "p99", "max")
	row := func(name string, times []time.Duration) {
		fmt.Fprintf(w, "%-59s %5d %7.3f %7.3f %7.3f\n", name, len(times), quantile(times, 0.5), quantile(times, 0.99), slices.Max(times).Seconds())
	}
	for _, t := range all {
		row(t.String()+": kill -9 -> first listener in IDLE", t.first)
		row(t.String()+": kill -9 -> last listener in IDLE", t.last)
		if !t.supervised {
			row(t.String()+": SIGTERM, first dark -> none dark", t.stopped)
		}
	}
	fmt.Fprintln(w)
	for _, t := range all {
		name := fmt.Sprintf("takeover_ttl%d", int(t.ttl.Seconds()))
		if t.supervised {
			name = "takeover_supervised"
		}
		fmt.Fprintf(w, "result: %s_p50_s=%.3f\n", name, quantile(t.first, 0.5))
		fmt.Fprintf(w, "result: %s_p99_s=%.3f\n", name, quantile(t.first, 0.99))
	}
	pushes, lost, doubled := 0, 0, 0
	for _, t := range all {
		pushes, lost, doubled = pushes+t.pushes, lost+t.lost, doubled+t.doubled
	}
	fmt.Fprintf(w, "result: drain_pushes=%d\nresult: drain_lost=%d\nresult: drain_doubled=%d\n", pushes, lost, doubled)
	// An upper bound of each listener's own dark time.
	fmt.Fprintf(w, "result: drain_dark_p99_s=%.3f\n", quantile(all[0].stopped, 0.99))
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// figures are all that is measured.
type figures struct {
	latencies

	half, full point // half of the listeners, and all
	afterMail  int64 // resident bytes when each got a mail and a long record

	wakeup, look, stillHere, refresh cost

	cold, resumed    storm
	pace             int
	goimap, imapflow peer
}

// latencies are the times of one mail each, and what all of them cost.
type latencies struct {
	fromDelivery []time.Duration // LMTP accepted the mail -> webhook request received
	fromExists   []time.Duration // EXISTS reached the worker's socket -> webhook request received
	cpu          time.Duration   // of the worker, in all
	bytes        int64           // that the worker read from Dovecot, in all
}

// bytesAfterMail is what a listener costs once it has worked: what all have grown by since
// they were idle comes on top of what an idle one costs.
func (f *figures) bytesAfterMail() int64 {
	return slopeOf(f.half, f.full).bytes + (f.afterMail-f.full.resident)/int64(max(f.full.listeners, 1))
}

// perGiB is how many idle listeners a GiB holds, the kernel's part included.
func (f *figures) perGiB() int64 {
	each := slopeOf(f.half, f.full)
	return 1 << 30 / max(each.bytes+each.kernelBytes, 1)
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func report(w io.Writer, f figures) {
	f.table(w)
	f.results(w)
}

func (f *figures) table(w io.Writer) {
	row := func(name string, durations []time.Duration) {
		fmt.Fprintf(w, "%-48s %8d %9.1f %9.1f %9.1f\n", name, len(durations),
			milliseconds(quantile(durations, 0.5)), milliseconds(quantile(durations, 0.99)), milliseconds(slices.Max(durations)))
	}
	fmt.Fprintf(w, "\n%-48s %8s %9s %9s %9s\n", "latency, milliseconds", "mails", "p50", "p99", "max")
	row("LMTP accepted -> webhook request received", f.fromDelivery)
	row("EXISTS received -> webhook request received", f.fromExists)
	f.memoryTable(w)
	f.workTable(w)
	f.stormTable(w)
	fmt.Fprintln(w)
}

func (f *figures) memoryTable(w io.Writer) {
	each := slopeOf(f.half, f.full)
	fmt.Fprintf(w, "\n%-48s %8s %9s %9s %9s\n", "memory over TLS 1.3, resident", "idle", "MiB", "idle", "MiB")
	fmt.Fprintf(w, "%-48s %8d %9.1f %9d %9.1f\n", "worker", f.half.listeners, mebibytes(f.half.resident), f.full.listeners, mebibytes(f.full.resident))
	line := func(name string, bytes int64) { fmt.Fprintf(w, "%-48s %8d bytes\n", name, bytes) }
	line("  a listener", each.bytes)
	line("  a listener, after a mail and a 16 KB record", f.bytesAfterMail())
	line("  the kernel's part of its connection", each.kernelBytes)
	line("  go-imap, a stock client in IDLE", f.goimap.bytes)
	if f.imapflow.missing == "" {
		line("  imapflow, a stock client in IDLE", f.imapflow.bytes)
	} else {
		fmt.Fprintf(w, "%-48s not measured: %s\n", "  imapflow, a stock client in IDLE", f.imapflow.missing)
	}
	fmt.Fprintln(w, "handshakes are full ones with a certificate chain of 3.9 KB; each figure is the lowest of 15 s, its growth by one")
	fmt.Fprintln(w, "connection; the kernel's part is half of what its sockets and buffers grew by: the other ends are on this machine")
}

func (f *figures) workTable(w io.Writer) {
	fmt.Fprintf(w, "\n%-48s %8s %9s %9s\n", "processor time of the worker", "times", "µs each", "/s/core")
	row := func(name string, c cost) {
		fmt.Fprintf(w, "%-48s %8d %9.1f %9.0f\n", name, c.things, float64(c.each().Nanoseconds())/1000, c.perSecond())
	}
	row("EXISTS -> push accepted and in IDLE again", f.wakeup)
	row("look once more, a while after new mail", f.look)
	row("* OK Still here", f.stillHere)
	row("renewal of IDLE", f.refresh)
	row("login, full handshake", f.cold.logins)
	row("login, session resumed", f.resumed.logins)
}

func (f *figures) stormTable(w io.Writer) {
	fmt.Fprintf(w, "\n%-32s %8s %9s %9s %9s %9s %9s\n", "take-over of a killed worker", "logins", "resumed", "seconds", "logins/s", "cpu s", "peak MiB")
	row := func(name string, s storm) {
		fmt.Fprintf(w, "%-32s %8d %9d %9.1f %9.0f %9.1f %9.1f\n", name, s.logins.things, s.resumed, s.took.Seconds(), s.perSecond(),
			s.logins.cpu.Seconds(), mebibytes(s.peak))
	}
	row("full handshakes", f.cold)
	row("sessions resumed", f.resumed)
	fmt.Fprintf(w, "pace: the mail store takes %d a second, and a second's worth may be saved up; in the busiest second there were %d and %d\n",
		f.pace, f.cold.busiest, f.resumed.busiest)
}

func (f *figures) results(w io.Writer) {
	result := func(name, format string, value any) { fmt.Fprintf(w, "result: "+name+"="+format+"\n", value) }
	mails := max(len(f.fromExists), 1)
	result("push_latency_ms_p50", "%.1f", milliseconds(quantile(f.fromExists, 0.5)))
	result("push_latency_ms_p99", "%.1f", milliseconds(quantile(f.fromExists, 0.99)))
	result("bytes_read_per_mail", "%d", f.bytes/int64(mails))
	result("wakeup_cpu_us", "%d", f.latencies.cpu.Microseconds()/int64(mails))
	each := slopeOf(f.half, f.full)
	result("bytes_per_idle_listener", "%d", each.bytes)
	result("bytes_per_idle_listener_after_mail", "%d", f.bytesAfterMail())
	result("goroutines_per_idle_listener", "%.3f", each.goroutines)
	result("kernel_bytes_per_listener", "%d", each.kernelBytes)
	result("listeners_per_gib", "%d", f.perGiB())
	result("peer_bytes_goimap", "%d", f.goimap.bytes)
	if f.imapflow.missing == "" {
		result("peer_bytes_imapflow", "%d", f.imapflow.bytes)
	} else {
		result("peer_bytes_imapflow", "not measured (%s)", f.imapflow.missing)
	}
	result("wakeups_per_s_per_core", "%.0f", f.wakeup.perSecond())
	result("stillhere_cpu_us", "%.1f", float64(f.stillHere.each().Nanoseconds())/1000)
	result("refresh_cpu_us", "%.1f", float64(f.refresh.each().Nanoseconds())/1000)
	result("logins_per_s_per_core_cold", "%.0f", f.cold.logins.perSecond())
	result("logins_per_s_per_core_resumed", "%.0f", f.resumed.logins.perSecond())
	result("storm_pace_per_s", "%d", f.pace)
	result("storm_logins_per_s", "%.0f", f.cold.perSecond())
	result("storm_busiest_second", "%d", f.cold.busiest)
	result("storm_cpu_s", "%.1f", f.cold.logins.cpu.Seconds())
	result("storm_peak_mb", "%.0f", mebibytes(f.cold.peak))
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

func TestSlopeLeavesOutWhatAProcessCosts(t *testing.T) {
	t.Parallel()
	few := point{listeners: 1000, resident: 50<<20 + 1000*7000, kernel: 1<<30 + 1000*8000, goroutines: 40}
	many := point{listeners: 3000, resident: 50<<20 + 3000*7000, kernel: 1<<30 + 3000*8000, goroutines: 41}
	got := slopeOf(few, many)
	if got.bytes != 7000 || got.kernelBytes != 4000 || got.goroutines != 0.0005 {
		t.Errorf("got %+v", got)
	}
	if got := slopeOf(many, many); got != (slope{}) {
		t.Errorf("no growth of listeners: %+v", got)
	}
}

func TestWhatIsKeptAfterMailCountsForAll(t *testing.T) {
	t.Parallel()
	f := figures{
		half: point{listeners: 1000, resident: 10_000_000}, full: point{listeners: 2000, resident: 17_000_000, kernel: 2_384_000},
		afterMail: 19_000_000,
	}
	if got := f.bytesAfterMail(); got != 8000 {
		t.Errorf("after mail: %d", got)
	}
	if got, want := f.perGiB(), int64(1<<30/8192); got != want {
		t.Errorf("in a GiB: %d, want %d", got, want)
	}
}

func TestBusiestSecond(t *testing.T) {
	t.Parallel()
	var w watch
	begun := time.Now()
	for n, count := range []int{0, 0, 10, 20, 80, 90, 100} {
		w.note(begun.Add(time.Duration(n)*500*time.Millisecond), count)
	}
	if got := w.busiest(time.Second); got != 70 {
		t.Errorf("busiest second: %d", got)
	}
	if got := w.took(); got != 2500*time.Millisecond {
		t.Errorf("took %s", got)
	}
	if got := new(watch).took(); got != 0 {
		t.Errorf("nothing took %s", got)
	}
}

func TestMedianByWhatEachCosts(t *testing.T) {
	t.Parallel()
	got := median([]cost{{100, time.Second}, {10, time.Second}, {1000, time.Second}})
	if got.things != 100 || got.each() != 10*time.Millisecond || got.perSecond() != 100 {
		t.Errorf("got %+v", got)
	}
	if zero := (cost{}); zero.each() != 0 || zero.perSecond() != 0 {
		t.Error("nothing costs something")
	}
}

func TestLongestRecordIsOneOfWholeLines(t *testing.T) {
	t.Parallel()
	text := longestRecord()
	if len(text) != 16<<10 || !strings.HasSuffix(text, "\r\n") || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-10:])
	}
	for line := range strings.Lines(text) {
		if len(line) > 200 || !strings.HasPrefix(line, "* ") {
			t.Fatalf("a line of %d bytes: %q", len(line), line)
		}
	}
}

// What a reader of the results looks for.
func TestReportHasAllResults(t *testing.T) {
	t.Parallel()
	f := figures{
		latencies: latencies{fromDelivery: []time.Duration{time.Second}, fromExists: []time.Duration{time.Millisecond}},
		half:      point{listeners: 10}, full: point{listeners: 20, resident: 81920, goroutines: 1},
		wakeup: cost{4, time.Millisecond}, cold: storm{logins: cost{9, time.Second}, took: time.Second},
		imapflow: peer{missing: "node is not installed"},
	}
	var text strings.Builder
	report(&text, f)
	for _, line := range []string{
		"push_latency_ms_p50=1.0", "bytes_read_per_mail=", "wakeup_cpu_us=", "bytes_per_idle_listener=8192", "bytes_per_idle_listener_after_mail=",
		"goroutines_per_idle_listener=0.100", "kernel_bytes_per_listener=", "listeners_per_gib=", "peer_bytes_goimap=", "peer_bytes_imapflow=not measured (node is not installed)",
		"wakeups_per_s_per_core=4000", "stillhere_cpu_us=", "refresh_cpu_us=", "logins_per_s_per_core_cold=9", "logins_per_s_per_core_resumed=",
		"storm_pace_per_s=", "storm_logins_per_s=9", "storm_cpu_s=1.0", "storm_peak_mb=",
	} {
		if !strings.Contains(text.String(), "\nresult: "+line) {
			t.Errorf("no %q", line)
		}
	}
	if t.Failed() {
		t.Log(text.String())
	}
}

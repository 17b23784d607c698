// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"strings"
	"testing"
)

const someStatus = "Name:\tworker\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t9\n"

const someSockets = "sockets: used 14\nTCP: inuse 2 orphan 0 tw 5 alloc 2 mem 17\nUDP: inuse 0 mem 3\n"

const someSlabs = `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
TCP                   20     26   2368   13    8 : tunables    0    0    0 : slabdata      2      2      0
sock_inode_cache      10     39    832   39    8 : tunables    0    0    0 : slabdata      1      1      0
dentry             99999 100002    192   21    1 : tunables    0    0    0 : slabdata   4762   4762      0
ext4_inode_cache   99999 100002   1192   27    8 : tunables    0    0    0 : slabdata   4762   4762      0
`

const someMetrics = "# HELP go_goroutines Number of goroutines.\n# TYPE go_goroutines gauge\ngo_goroutines 36\ngo_goroutines_x 2\nbig 1.5e+06 1796031426000\n" +
	"listeners{at=\"a {b} c\",state=\"idle\"} 3\nlisteners{at=\"d\",state=\"idle\"} 4\nlisteners{at=\"d\",state=\"lost\"} 8\n"

func TestKilobytes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, name string
		want       int64
		ok         bool
	}{
		"resident":   {someStatus, "VmRSS", 10 << 20, true},
		"peak":       {someStatus, "VmHWM", 20 << 20, true},
		"absent":     {someStatus, "VmSwap", 0, false},
		"a prefix":   {someStatus, "Vm", 0, false},
		"no number":  {"Slab: many kB\n", "Slab", 0, false},
		"negative":   {"Slab: -4 kB\n", "Slab", 0, false},
		"over all":   {"Slab: 99999999999999999999 kB\n", "Slab", 0, false},
		"no newline": {"Slab: 4 kB", "Slab", 4096, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := kilobytes(test.text, test.name)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestSocketPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want int64
		ok   bool
	}{
		"linux":     {someSockets, 17, true},
		"none":      {"sockets: used 14\nTCP: inuse 2\n", 0, false},
		"no number": {"TCP: mem x\n", 0, false},
		"cut":       {"TCP: inuse 2 mem\n", 0, false},
		"empty":     {"", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := socketPages(test.text)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestSocketObjects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want int64
		ok   bool
	}{
		"linux":      {someSlabs, 2*8*4096 + 8*4096 + 10*192, true},
		"no sockets": {strings.ReplaceAll(someSlabs, "sock_inode", "other"), 0, false},
		"no number":  {strings.ReplaceAll(someSlabs, "2368", "many"), 0, false},
		"cut":        {"TCP 20 26\nsock_inode_cache 1 2", 0, false},
		"empty":      {"", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := socketObjects(test.text, 4096)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %d, %v; want %d", got, err, test.want)
			}
		})
	}
}

func TestMetricIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, name string
		want       float64
		ok         bool
	}{
		"a gauge":       {someMetrics, "go_goroutines", 36, true},
		"with its time": {someMetrics, "big", 1.5e6, true},
		"absent":        {someMetrics, "go_threads", 0, false},
		"no number":     {"x y\n", "x", 0, false},
		"some series":   {someMetrics, `listeners{state="idle"}`, 7, true},
		"one series":    {someMetrics, `listeners{at="d",state="lost"}`, 8, true},
		"all series":    {someMetrics, "listeners", 15, true},
		"no series":     {someMetrics, `listeners{state="new"}`, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := metricIn(test.text, test.name)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestSeriesAreSummedUp(t *testing.T) {
	t.Parallel()
	const text = "# TYPE of gauge\nof{a=\"x\"} 3\nof{a=\"}y {\",b=\"z\"} 4.5 1796031426000\nof_more{a=\"x\"} 9\nbad{a=\"x\"} y\nnone{a=\"x\"}\n"
	for name, test := range map[string]struct {
		name string
		want float64
		ok   bool
	}{
		"all labels": {"of", 7.5, true},
		"absent":     {"off", 0, false},
		"no number":  {"bad", 0, false},
		"no value":   {"none", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := metricIn(text, test.name)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// What is read of a process and of the kernel is a number of at least nothing, or an error.
func FuzzReadings(f *testing.F) {
	for _, text := range []string{someStatus, someSockets, someSlabs, someMetrics, "TCP: mem", "VmRSS:", "x -1", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if bytes, err := kilobytes(text, "VmRSS"); bytes < 0 || err != nil && bytes != 0 {
			t.Errorf("kilobytes: %d, %v", bytes, err)
		}
		if pages, err := socketPages(text); pages < 0 || err != nil && pages != 0 {
			t.Errorf("pages: %d, %v", pages, err)
		}
		if bytes, err := socketObjects(text, 4096); bytes < 0 || err != nil && bytes != 0 {
			t.Errorf("objects: %d, %v", bytes, err)
		}
		if value, err := metricIn(text, "x"); err != nil && value != 0 {
			t.Errorf("metric: %v, %v", value, err)
		}
	})
}

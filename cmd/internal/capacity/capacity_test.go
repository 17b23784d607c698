// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTheLowestBoundDecidesAndSaysSo(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	for name, c := range map[string]struct {
		machine   Machine
		listeners uint32
		why       string
	}{
		"nothing is known":         {Machine{}, fallback, "nothing is known"},
		"files alone":              {Machine{Files: 20_000}, 18_000, "as many as the limit of 20000 open files allows"},
		"the usual soft limit":     {Machine{Files: 1024}, 510, "as many as the limit of 1024 open files"},
		"files, with much memory":  {Machine{Files: 131_072, Memory: 64 * gb, MemoryIs: "the available memory"}, 120_000, "files allows, the available memory (64 GB) would allow 3500000"},
		"a container's memory":     {Machine{Files: 1 << 20, Memory: 2 * gb, MemoryIs: "the control group's memory limit"}, 100_000, "as many as the control group's memory limit (2048 MB) allows, the limit of 1048576 open files would allow 1000000"},
		"GOMEMLIMIT":               {Machine{Files: 131_072, Memory: 8 * gb, Heap: 512 << 20}, 40_000, "as many as GOMEMLIMIT (512 MB) allows"},
		"less memory than a start": {Machine{Files: 20_000, Memory: 64 << 20, MemoryIs: "x"}, least, "as many as x (64 MB) allows"},
		"no limit of files":        {Machine{Files: 1<<64 - 1}, 10_000_000, "open files allows"},
	} {
		got := Of(c.machine)
		if got.Listeners != c.listeners || !strings.Contains(got.Why, c.why) || got.Warning != "" {
			t.Errorf("%s: %+v, want %d: %s", name, got, c.listeners, c.why)
		}
	}
}

func TestANumberThatIsAskedForStands(t *testing.T) {
	t.Parallel()
	machine := Machine{Files: 20_000, Memory: 1 << 30, MemoryIs: "the available memory"}
	for name, c := range map[string]struct {
		asked   uint32
		machine Machine
		want    uint32
		warning string
	}{
		"none":                       {0, machine, 18_000, ""},
		"less than the files":        {5_000, machine, 5_000, ""},
		"more than the files":        {50_000, machine, 50_000, "worker.capacity is 50000, and the limit of 20000 open files allows 18000"},
		"what the reserve is to be":  {19_000, machine, 19_000, "allows 18000"},
		"more, on an unknown system": {50_000, Machine{}, 50_000, ""},
	} {
		got := Chosen(c.asked, c.machine)
		if got.Listeners != c.want || (got.Warning == "") != (c.warning == "") || !strings.Contains(got.Warning, c.warning) || got.Why == "" {
			t.Errorf("%s: %+v, want %d, warning %q", name, got, c.want, c.warning)
		}
	}
}

// More of anything never means fewer listeners, and no bound is exceeded.
func TestMoreOfAnythingIsNeverLess(t *testing.T) {
	t.Parallel()
	draws := rand.New(rand.NewPCG(1, 2))
	draw := func() uint64 { return 1 + draws.Uint64()>>(20+draws.Uint64N(40)) }
	for range 10_000 {
		less := Machine{Files: draw(), Memory: draw(), Heap: draw()}
		more := Machine{Files: less.Files + draw(), Memory: less.Memory + draw(), Heap: less.Heap + draw()}
		a, b := Of(less).Listeners, Of(more).Listeners
		if a > b {
			t.Fatalf("%+v: %d, %+v: %d", less, a, more, b)
		}
		if uint64(a) > less.Files || a > least && uint64(a)*(userBytes+kernelBytes) >= less.Memory {
			t.Fatalf("%+v: %d", less, a)
		}
	}
}

func TestMemoryIsThatOfTheTightestLimit(t *testing.T) {
	t.Parallel()
	const meminfo = "MemTotal:       32000000 kB\nMemFree:         1000000 kB\nMemAvailable:   24000000 kB\n"
	const available = 24_000_000 << 10
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  uint64
		is    string
	}{
		"no /proc":        {fstest.MapFS{}, 0, ""},
		"no control":      {fstest.MapFS{"proc/meminfo": file(meminfo)}, available, "available"},
		"version 2, none": {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n")}, available, "available"},
		"version 2":       {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1073741824\n")}, 1 << 30, "control group"},
		"around it":       {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/memory.max": file("536870912\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n")}, 1 << 29, "control group"},
		"a container":     {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("268435456\n")}, 1 << 28, "control group"},
		"outside":         {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/../../x\n"), "sys/fs/cgroup/x/memory.max": file("268435456\n")}, 1 << 28, "control group"},
		"version 1":       {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("9:name=systemd:/\n4:memory:/docker/x\n0::/\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("2147483648\n")}, 1 << 31, "control group"},
		"version 1, none": {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("4:memory:/\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, available, "available"},
		"only a limit":    {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("268435456\n")}, 1 << 28, "control group"},
	} {
		if got := memoryOf(c.files); got.Memory != c.want || !strings.Contains(got.MemoryIs, c.is) {
			t.Errorf("%s: %+v, want %d by %q", name, got, c.want, c.is)
		}
	}
}

func FuzzMachineFiles(f *testing.F) {
	f.Add("MemAvailable:   24000000 kB\n", "4:memory:/x\n0::/a/../..\n", "max\n")
	f.Add("MemAvailable: 18446744073709551615 kB", "::", "-1")
	f.Fuzz(func(t *testing.T, meminfo, groups, limit string) {
		files := fstest.MapFS{"proc/meminfo": {Data: []byte(meminfo)}, "proc/self/cgroup": {Data: []byte(groups)}}
		for _, name := range limitFiles(groups) {
			files[name] = &fstest.MapFile{Data: []byte(limit)}
		}
		if got := Of(memoryOf(files)); got.Listeners == 0 || got.Why == "" {
			t.Errorf("%+v", got)
		}
	})
}

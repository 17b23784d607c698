// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Here is this machine, as it stands. The limit of open files is the hard one: Go raises
// the soft one to it when a program starts.
func Here() Machine {
	m := memoryOf(os.DirFS("/"))
	if m.Memory == 0 {
		m.Memory, m.MemoryIs = physicalMemory(), "the machine's memory"
	}
	m.Files = openFiles()
	if limit := debug.SetMemoryLimit(-1); limit > 0 && limit < math.MaxInt64 {
		m.Heap = uint64(limit)
	}
	return m
}

// memoryOf finds the memory at hand in the files of a Linux system: what is available, or
// what the process's control groups allow when that is less.
func memoryOf(root fs.FS) Machine {
	m := Machine{Memory: availableMemory(read(root, "proc/meminfo")), MemoryIs: "the available memory"}
	for _, file := range limitFiles(read(root, "proc/self/cgroup")) {
		if limit := parseLimit(read(root, file)); limit > 0 && (m.Memory == 0 || limit < m.Memory) {
			m.Memory, m.MemoryIs = limit, "the control group's memory limit"
		}
	}
	return m
}

// read is the text of a file, empty where there is none.
func read(root fs.FS, name string) string {
	text, _ := fs.ReadFile(root, name) // a system of another kind has no such file
	return string(text)
}

// availableMemory is what /proc/meminfo says is available, in bytes; zero when it does
// not say.
func availableMemory(meminfo string) uint64 {
	for line := range strings.Lines(meminfo) {
		if value, found := strings.CutPrefix(line, "MemAvailable:"); found {
			number, _ := strings.CutSuffix(strings.TrimSpace(value), " kB")
			return bytesOf(number, 1<<10)
		}
	}
	return 0
}

// limitFiles are the files with the memory limits of the control groups that
// /proc/self/cgroup names, and of those around them: version 2 has one line with an empty
// list of controllers, version 1 one with the controller memory.
func limitFiles(groups string) []string {
	var out []string
	for line := range strings.Lines(groups) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		mount, name := "sys/fs/cgroup", "memory.max"
		switch {
		case controllers == "" && group != "":
		case controllers == "memory":
			mount, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for at := path.Clean("/" + group); ; at = path.Dir(at) {
			if file := path.Join(mount, at, name); fs.ValidPath(file) {
				out = append(out, file)
			}
			if at == "/" {
				break
			}
		}
	}
	return out
}

// parseLimit is a control group's limit in bytes; zero when there is none, which version
// 1 writes as a number near 2^63.
func parseLimit(text string) uint64 {
	const unlimited = 1 << 60
	if limit := bytesOf(strings.TrimSpace(text), 1); limit < unlimited {
		return limit
	}
	return 0
}

// bytesOf is a number of units in bytes; zero when it is none.
func bytesOf(number string, unit uint64) uint64 {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n > math.MaxUint64/unit {
		return 0
	}
	return n * unit
}

// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mailpush.internal/pkg/proctest"
)

// settle is how long a process's memory is watched; its lowest point counts, because
// Go returns freed memory to the system only little by little.
const settle = 15 * time.Second

// Resident is the lowest resident memory of a process within a while, in bytes.
func Resident(ctx context.Context, p *proctest.Process) (int64, error) {
	lowest := int64(0)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(settle); time.Now().Before(end); {
		now, err := ResidentNow(p)
		if err != nil {
			return 0, err
		}
		if lowest == 0 || now < lowest {
			lowest = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return lowest, nil
}

// PeakResident is the highest resident memory that a process has had, in bytes.
func PeakResident(p *proctest.Process) (int64, error) { return statusBytes(p.Pid(), "VmHWM") }

// ResidentNow is the resident memory of a process, in bytes.
func ResidentNow(p *proctest.Process) (int64, error) { return statusBytes(p.Pid(), "VmRSS") }

func statusBytes(pid int, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of a process: %w", err)
	}
	return kilobytes(string(text), name)
}

// kilobytes finds a line like "VmRSS:  123 kB" and returns bytes.
func kilobytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 50)
			if err != nil {
				return 0, fmt.Errorf("reading %s: %w", name, err)
			}
			return int64(kib) << 10, nil
		}
	}
	return 0, fmt.Errorf("reading memory: there is no %s", name)
}

// CPU is the processor time that a process has used so far, by its threads that live.
func CPU(p *proctest.Process) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Pid()))
	if err != nil || len(threads) == 0 {
		return 0, errors.Join(errors.New("reading the processor time of a process: no threads"), err)
	}
	var sum time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of a process: %w", err)
		}
		onCPU, _, _ := strings.Cut(string(text), " ")
		nanoseconds, err := strconv.ParseInt(onCPU, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of a process: %w", err)
		}
		sum += time.Duration(nanoseconds)
	}
	return sum, nil
}

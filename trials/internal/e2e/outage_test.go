// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

// maxLines is how many warnings and errors all six processes may write in an outage of the
// database: one for each thing that somebody cannot do. Before it was one for each try.
const maxLines = 20

// The database goes away while a worker dies and a scheduler starts again, so that all
// that can be asked of the registry is asked, again and again for 20 seconds. The logs stay
// readable, and when it is back all go on by themselves.
func TestAnOutageOfTheDatabaseIsFewLines(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("-short: without programs")
		return
	}
	d := deploy(t)
	// A first plan waits for the registry, and is over when both workers have shards.
	d.awaitCalls(t, "OpenEpoch", "ok", 2)
	if err := d.postgres.Down(); err != nil {
		t.Fatal(err)
	}
	d.workers[1].Kill()
	stop(t, d.schedulers[1])
	again := start(t, d.programs, "scheduler", "scheduler-again", "--config", d.config, "--set", "scheduler.name=scheduler-again",
		"--set", "scheduler.listen="+d.addr[addrScheduler2], "--set", "scheduler.opsListen="+d.addr[addrSchedulerOps2])
	d.awaitCalls(t, "ShardLoads", "unavailable", 20)
	d.awaitCalls(t, "OpenEpoch", "unavailable", 3)
	if err := d.postgres.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{addrVaultOps, addrAdminOps, addrSchedulerOps1, addrSchedulerOps2, addrWorkerOps1} {
		await(t, "readiness at "+d.addr[at], startTimeout, rig.Ready(d.addr[at]))
	}
	loud := regexp.MustCompile(`level=(WARN|ERROR)|"level":"(WARN|ERROR)"`)
	var lines []string
	for _, p := range []*proctest.Process{d.vault, d.admin, d.schedulers[0], again, d.workers[0]} {
		for line := range strings.Lines(p.Log()) {
			if loud.MatchString(line) {
				lines = append(lines, p.Name()+": "+line)
			}
		}
	}
	t.Logf("result: outage_log_lines=%d", len(lines))
	if len(lines) > maxLines || len(lines) == 0 {
		t.Errorf("%d lines, want 1 to %d:\n%s", len(lines), maxLines, strings.Join(lines, ""))
	}
	for _, p := range []*proctest.Process{d.admin, d.vault, again, d.workers[0]} {
		if err := syscall.Kill(p.Pid(), 0); err != nil {
			t.Errorf("%s has ended: %v", p.Name(), err)
		}
	}
}

// awaitCalls waits until the registry has answered so many calls of a procedure with a code.
func (d *deployment) awaitCalls(t *testing.T, procedure, code string, calls float64) {
	t.Helper()
	name := `mailpush_admin_rpc_total{code="` + code + `",procedure="/mailpush.registry.v1.RegistryService/` + procedure + `"}`
	await(t, procedure+" to be "+code, 2*time.Minute, func(ctx context.Context) error {
		got, err := rig.Metric(ctx, d.addr[addrAdminOps], name)
		if err == nil && got < calls {
			err = fmt.Errorf("only %v times", got)
		}
		return err
	})
}

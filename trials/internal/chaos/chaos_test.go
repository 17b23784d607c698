// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"mailpush.internal/trials/internal/chaos"
	"mailpush.internal/trials/internal/rig"
)

// programs are built once, for all runs.
var programs struct {
	dir  string
	once sync.Once
	rig.Programs
	err error
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer func() { _ = os.RemoveAll(programs.dir) }() // tests of other kinds build nothing
	return m.Run()
}

func build(t *testing.T) rig.Programs {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "chaos-"); programs.err == nil { //nolint:usetesting // it outlives this test
			programs.Programs, programs.err = rig.Build(t.Context(), programs.dir)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.Programs
}

// small is what fits into a minute with the race detector.
func small(t *testing.T) chaos.Options {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Dovecot, PostgreSQL and a minute: left out with -short") //nolint:forbidigo // only with -short
	}
	return chaos.Options{
		Dir: t.TempDir(), Programs: build(t), Seed: 4,
		Mailboxes: 20, Mails: 500, Kills: 6, Length: 25 * time.Second,
		Odds:     chaos.Odds{Refuse: 0.05, Throttle: 0.04, Hang: 0.01, Reset: 0.03, Break: 0.03},
		Patience: 2 * time.Minute,
	}
}

// Whatever is killed and however endpoints fail: every mail is pushed to every
// subscription, in order and under one id.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	verdict, err := chaos.Run(t.Context(), small(t), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	verdict.Report(t.Output())
	if err := verdict.Err(); err != nil {
		t.Error(err)
	}
	if verdict.Expected != 1000 || verdict.Kills != 6 {
		t.Errorf("%d pushes were expected and %d processes killed, want 1000 and 6", verdict.Expected, verdict.Kills)
	}
}

// The same run must find out a cursor that moves before the endpoint has accepted: else
// it could not tell that all others do not.
func TestHastyAnswersAreFoundOut(t *testing.T) {
	t.Parallel()
	o := small(t)
	o.Hasty = true
	// What is lost never comes. What only waits for a window to end comes within 16 s:
	// the windows of so short a run are no longer.
	o.Patience = 20 * time.Second
	verdict, err := chaos.Run(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	verdict.Report(t.Output())
	if verdict.Missing == 0 || verdict.Err() == nil {
		t.Errorf("nothing is found missing: %+v", verdict)
	}
	if verdict.Delivered == 0 {
		t.Error("nothing was delivered: whatever was lost, it was not for haste")
	}
}
